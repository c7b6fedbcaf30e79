"""The counters of a probe's streams: datagrams, struct tcp_info, shares of a limit, pace, measured times."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import astuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.measure.throughput import UNKNOWN
from loadgen.model.errors import PlanError
from loadgen.model.probe import ProbeTest, Transport
from loadgen.model.units import NS_PER_S
from loadgen.probe import meter as meter_module
from loadgen.probe.datagrams import HEADER_32, HEADER_64, Arrivals, header_of, stamp
from loadgen.probe.meter import Meter, share
from loadgen.probe.streams import BYTES, LAST, NO_LIMIT, QUIET, QUIET_BYTES, Stream
from loadgen.probe.tcp import Pace, block_bytes, payload
from loadgen.probe.tcpinfo import TcpInfo, unpack
from loadgen.probe.udp import needs_64bit


def arrivals_of(*numbers: int) -> tuple[int, int, int, int]:
    arrivals = Arrivals()
    for number in numbers:
        arrivals.take(0, 0, number, 0)
    return arrivals.packets, arrivals.lost, arrivals.out_of_order, arrivals.duplicates


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((1, 2, 3), (3, 0, 0, 0)),
        ((1, 4), (4, 2, 0, 0)),
        ((3,), (3, 2, 0, 0)),
        ((1, 3, 2, 4), (4, 0, 1, 0)),  # late, not lost
        ((1, 4, 2), (4, 1, 1, 0)),
        ((1, 1), (1, 0, 0, 1)),
        ((1, 3, 3), (3, 1, 0, 1)),  # a duplicate does not take back a loss
        ((1, 3, 2, 2, 3), (3, 0, 1, 2)),
        ((2, 1, 5, 4, 3), (5, 0, 3, 0)),
        ((1, 1 << 60, 2), (2, 0, 0, 0)),  # no stream jumps that far
        # 3 is too old to distinguish a late datagram from a duplicate
        ((1, 200_002, 3, 200_001), (200_002, 199_999, 1, 1)),
    ],
)
def test_loss_disorder_and_duplicates_are_counted(
    numbers: tuple[int, ...], expected: tuple[int, int, int, int]
) -> None:
    assert arrivals_of(*numbers) == expected


@given(st.lists(st.integers(1, 30)))
def test_a_datagram_is_new_or_a_duplicate(numbers: list[int]) -> None:
    packets, lost, _, duplicates = arrivals_of(*numbers)
    assert packets == max(numbers, default=0)
    assert packets - lost == len(set(numbers))
    assert duplicates == len(numbers) - len(set(numbers))


@given(st.lists(st.integers(1, 300), max_size=80), st.integers(0, 1 << 17))
def test_arrivals_are_counted_wherever_the_window_wraps(steps: list[int], offset: int) -> None:
    arrivals, seen = Arrivals(), set()
    arrivals.take(0, 0, offset + 1, 0)
    for number in steps:
        assert arrivals.take(0, 0, offset + 1 + number, 0) is (number not in seen)
        seen.add(number)
    assert arrivals.packets - arrivals.lost == len(seen) + 1


@pytest.mark.parametrize("highest", [1 << 31, (1 << 32) - 3, 1 << 32, 5 * (1 << 32) - 3])
def test_numbers_of_32_bits_wrap(highest: int) -> None:
    """Across 2^31, where iperf3's own counters turn negative, and across 2^32: nothing is late that is not."""
    arrivals = Arrivals(counters_64bit=False)
    for number in range((1 << 30), highest, 1 << 30):  # no jump of half the numbers, which would be one back
        arrivals.take(0, 0, number % (1 << 32), 0)
    before = arrivals.lost
    steps = (0, 1, 2, 4, 3, 5, 5, 7, 8)  # 3 is late, 5 comes twice, 6 is lost
    taken = [arrivals.take(0, 0, (highest + step) % (1 << 32), 0) for step in steps]
    assert taken == [True] * 6 + [False] + [True] * 2
    assert arrivals.packets == highest + 8
    assert (arrivals.out_of_order, arrivals.duplicates) == (1, 1)
    assert arrivals.packets - arrivals.lost - len(range(1 << 30, highest, 1 << 30)) == 8
    assert before <= arrivals.lost


def test_a_number_before_the_first_is_none_of_the_stream() -> None:
    """4,294,967,295 is one before 0 in 32 bits, and too far ahead in 64."""
    for wide in (False, True):
        arrivals = Arrivals(counters_64bit=wide)
        assert not arrivals.take(0, 0, 0, 0)
        assert arrivals.take(0, 0, 1, 0)
        if not wide:
            assert not arrivals.take(0, 0, (1 << 32) - 1, 0)
        assert (arrivals.packets, arrivals.lost, arrivals.duplicates) == (1, 0, 0)


@pytest.mark.parametrize(
    ("rate_bps", "block_bytes", "seconds", "wide"),
    [
        (1_000_000, 1448, 10, False),
        (10_000_000_000, 1448, 600, False),
        (10_000_000_000, 1448, 3600, True),
        (0, 1448, 60, False),
        (0, 1448, 3600, True),
    ],
)
def test_numbers_have_64_bits_only_where_32_could_wrap(
    rate_bps: int, block_bytes: int, seconds: int, wide: bool
) -> None:
    assert needs_64bit(rate_bps, block_bytes, seconds * NS_PER_S) is wide


def test_a_duplicate_is_no_payload() -> None:
    arrivals = Arrivals()
    assert [arrivals.take(0, 0, number, 0) for number in (1, 3, 3, 2, 2)] == [True, True, False, True, False]


@given(st.permutations(list(range(1, 30))), st.integers(0, 29))
def test_datagrams_without_duplicates_balance(order: list[int], kept: int) -> None:
    seen = order[:kept]
    packets, lost, *_ = arrivals_of(*seen)
    assert packets == max(seen, default=0)
    assert packets - lost == len(seen)


def test_jitter_is_that_of_rfc_3550() -> None:
    arrivals = Arrivals()
    for number, (sent_us, received_ns) in enumerate([(0, 1000), (1000, 1_001_000), (2000, 2_017_000)], 1):
        arrivals.take(0, sent_us, number, received_ns)
    assert arrivals.jitter_ns == pytest.approx(16_000 / 16)  # one difference of 16 µs, after one of none
    arrivals.take(0, 3000, 4, 3_001_000)
    assert arrivals.jitter_ns == pytest.approx(1000 + (16_000 - 1000) / 16)


def test_jitter_does_not_depend_on_the_other_clock() -> None:
    arrivals = Arrivals()
    for number in (1, 2):
        arrivals.take(4_000_000_000, number * 1000, number, number * 1_000_000)
    assert arrivals.jitter_ns == 0


def test_headers_have_two_widths() -> None:
    assert header_of(counters_64bit=False) is HEADER_32
    assert header_of(counters_64bit=True) is HEADER_64
    # The first data that iperf3 3.12 sent in a recorded test, with its 64-bit numbers.
    recorded = bytes.fromhex("0000046700004e770000000000000001")
    assert HEADER_64.pack(*stamp(1127 * NS_PER_S + 20087_000), 1) == recorded


def full_tcp_info() -> bytes:
    data = bytearray(232)
    for offset, value in {16: 1448, 68: 250, 72: 40, 80: 10, 100: 7, 148: 33}.items():
        struct.pack_into("=I", data, offset, value)
    struct.pack_into("=Q", data, 120, 5 << 32)
    return bytes(data)


def test_tcp_info_is_unpacked_by_the_kernels_order() -> None:
    assert unpack(full_tcp_info()) == TcpInfo(
        rtt_ns=250_000,
        rtt_min_ns=33_000,
        cwnd_bytes=14_480,
        total_retransmits=7,
        acked_bytes=5 << 32,
    )


def test_older_kernels_return_less() -> None:
    info = unpack(full_tcp_info()[:104])  # Linux 2.6 to 4.0
    assert (info.rtt_ns, info.cwnd_bytes, info.total_retransmits) == (250_000, 14_480, 7)
    assert (info.rtt_min_ns, info.acked_bytes) == (UNKNOWN, UNKNOWN)
    assert set(astuple(unpack(b""))) == {UNKNOWN}


@given(st.integers(0, 300))
def test_tcp_info_may_end_at_any_byte(size: int) -> None:
    unpack((full_tcp_info() + bytes(100))[:size])


def test_a_missing_sample_of_the_minimum_rtt_is_unknown() -> None:
    data = bytearray(full_tcp_info())
    struct.pack_into("=I", data, 148, 0xFFFFFFFF)
    assert unpack(bytes(data)).rtt_min_ns == UNKNOWN


@given(st.integers(1, 1 << 40), st.integers(1, 200))
def test_a_limit_is_shared_to_the_last_byte(limit_bytes: int, among: int) -> None:
    shares = share(limit_bytes, among)
    assert sum(shares) == limit_bytes
    assert max(shares) - min(shares) <= 1


def test_without_a_limit_each_stream_has_no_limit() -> None:
    assert share(0, 2) == [NO_LIMIT, NO_LIMIT]


def test_a_paced_stream_keeps_its_mean_rate_and_forgets_long_delays() -> None:
    pace = Pace(8_000_000, 0)  # one byte per µs
    assert pace.wait_ns(0) == 0
    pace.sent(1000)
    assert pace.wait_ns(0) == 1_000_000
    assert pace.wait_ns(1_500_000) == -500_000  # late by half a block: the next block is sent at once
    pace.sent(1000)
    assert pace.wait_ns(1_500_000) == 500_000
    assert pace.wait_ns(60 * NS_PER_S) == -NS_PER_S


def test_blocks_are_smaller_for_many_or_slow_streams() -> None:
    assert [block_bytes(parallel, 0) for parallel in (1, 8, 16, 256)] == [1 << 20, 1 << 20, 1 << 18, 1 << 17]
    assert block_bytes(1, 80_000_000) == 100_000
    assert block_bytes(1, 1000) == 4096
    assert [len(payload(size)) for size in (0, 1, 65536, 65537, 1 << 20)] == [0, 1, 65536, 65537, 1 << 20]


class FakeStream(Stream):
    """A stream without a connection, whose counters the test sets."""

    def __init__(self, number: int, *, sends: bool) -> None:
        self.id = number
        self.sends = sends
        self.cell = [0, 0, NO_LIMIT, 0]
        self.counts = (0, 0, 0, 0)
        self.cpu = 0
        self.path: TcpInfo | None = None
        self.jitter = UNKNOWN
        self.waited = UNKNOWN

    def read(self) -> tuple[int, int, int, int, int]:
        return (*self.counts, 0)

    def info(self) -> TcpInfo | None:
        return self.path

    def cpu_ns(self) -> int:
        return self.cpu

    def dropped(self) -> int:
        return UNKNOWN

    def quiet_ns(self, now_ns: int) -> int:
        return UNKNOWN

    def waited_ns(self) -> int:
        return self.waited

    def jitter_ns(self) -> int:
        return self.jitter

    def at(self, rtt_us: int, cwnd: int, retransmits: int) -> None:
        data = bytearray(full_tcp_info())
        struct.pack_into("=I", data, 68, rtt_us)
        struct.pack_into("=I", data, 80, cwnd)
        struct.pack_into("=I", data, 100, retransmits)
        self.path = unpack(bytes(data))


async def _quiet_ns(quiet_at_ns: int, now_ns: int, new_bytes: int) -> int:
    with socket.socket() as here:
        stream = Stream(1, here, sends=False)
        stream.cell[QUIET], stream.cell[QUIET_BYTES], stream.cell[BYTES] = quiet_at_ns, 10, 10 + new_bytes
        return stream.quiet_ns(now_ns)


@pytest.mark.parametrize(
    ("quiet_at_ns", "new_bytes", "expected"),
    [
        (0, 0, 0),  # it never was quiet
        (400, 0, 600),
        (400, 1, 0),
        (1007, 0, 0),  # noticed after the end, while the other streams were read; a negative number broke the test off
    ],
)
def test_a_stream_was_quiet_for_no_negative_time(quiet_at_ns: int, new_bytes: int, expected: int) -> None:
    assert asyncio.run(_quiet_ns(quiet_at_ns, 1000, new_bytes)) == expected


def test_omitted_time_does_not_count() -> None:
    out, back = FakeStream(1, sends=True), FakeStream(3, sends=False)
    out.at(100, 1, 5)
    meter = Meter([out, back], 1000, limited=False)
    out.counts, back.counts, out.cpu = (500, 0, 0, 0), (700, 0, 0, 0), 40
    out.at(900, 90, 6)
    tick = meter.tick(1000 + NS_PER_S, omitted=True)
    assert (tick.start_ns, tick.end_ns, tick.omitted) == (0, NS_PER_S, True)
    assert (tick.sent_bytes, tick.received_bytes, tick.retransmits) == (500, 700, 1)
    assert (tick.rtt_ns, tick.cwnd_bytes, tick.packets) == (900_000, 90 * 1448, UNKNOWN)
    meter.omit_until(1000 + NS_PER_S)
    out.counts, back.counts, out.cpu = (1500, 0, 0, 0), (1900, 0, 0, 0), 100
    out.at(300, 30, 9)
    assert meter.progress() == (1000, 1200)
    meter.end(1000 + 3 * NS_PER_S)
    out.counts, out.cpu = (9999, 0, 0, 0), 999  # after the end of the test
    sent, received = meter.counts()
    assert (sent.bytes, sent.ns, sent.retransmits) == (1000, 2 * NS_PER_S, 3)
    assert (sent.rtt_ns, sent.rtt_min_ns, sent.cwnd_max_bytes) == (300_000, 33_000, 30 * 1448)
    assert (received.bytes, received.ns, received.retransmits) == (1200, 2 * NS_PER_S, UNKNOWN)
    assert (meter.wall_ns, meter.cpu_ns) == (2 * NS_PER_S, 60)


def test_the_path_is_sampled_repeatedly() -> None:
    out = FakeStream(1, sends=True)
    meter = Meter([out], 0, limited=False)
    for second, (rtt_us, cwnd) in enumerate([(100, 5), (200, 9), (600, 7)], 1):
        out.at(rtt_us, cwnd, 0)
        meter.tick(second * NS_PER_S, omitted=False)
    out.path = unpack(b"")  # the kernel returns no more fields
    meter.end(4 * NS_PER_S)
    (count,) = meter.counts()
    assert (count.rtt_ns, count.rtt_min_ns, count.cwnd_max_bytes) == (300_000, 33_000, 9 * 1448)


def test_cpu_time_includes_all_threads_of_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    out, besides = FakeStream(1, sends=True), iter([5, 20, 50])
    used = iter([(0.0, 0.0), (1.0, 1.0), (2.0, 4.0)])
    monkeypatch.setattr(meter_module, "_usage", lambda: next(used))
    meter = Meter([out], 0, limited=False, besides=lambda: next(besides))
    out.cpu = 100
    meter.omit_until(1000)
    out.cpu = 470
    meter.end(2000)
    assert meter.cpu_ns == 370 + 30
    assert list(meter.cpu_shares) == pytest.approx([0.1, 0.3])


@pytest.mark.parametrize(
    ("cpu_ns", "waited_ns", "user_s", "busiest_ns", "runnable_ns"),
    [
        ((300, 900), (UNKNOWN, UNKNOWN), 0.0, 900, 900),
        ((300, 900), (2000, 50), 0.0, 900, 2300),  # the first thread waited for a core
        ((300, 900), (0, 0), 3e-6, 3000, 3000),  # the threads waited for each other: only one of them can run Python
    ],
)
def test_the_busiest_thread_is_counted_separately(
    monkeypatch: pytest.MonkeyPatch,
    cpu_ns: tuple[int, int],
    waited_ns: tuple[int, int],
    user_s: float,
    busiest_ns: int,
    runnable_ns: int,
) -> None:
    used = iter([(1.0, 1.0), (1.0 + user_s, 9.0)])
    monkeypatch.setattr(meter_module, "_usage", lambda: next(used))
    streams = [FakeStream(1, sends=True), FakeStream(3, sends=True)]
    meter = Meter([*streams], 0, limited=False)
    for stream, cpu, waited in zip(streams, cpu_ns, waited_ns, strict=True):
        stream.cpu, stream.waited = cpu, waited
    meter.end(10_000)
    assert (meter.busiest_ns, meter.runnable_ns) == (busiest_ns, runnable_ns)


@given(st.integers(1, 10**10), st.integers(1, 10**10), st.floats(1e-6, 1e4), st.sampled_from([0.0, 1e-6, 3.3]))
def test_cpu_time_is_never_negative(cpu_ns: int, wall_ns: int, user_s: float, system_s: float) -> None:
    out, used = FakeStream(1, sends=True), iter([(0.0, 0.0), (user_s, system_s)])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(meter_module, "_usage", lambda: next(used))
        meter = Meter([out], 0, limited=False)
        out.cpu = cpu_ns
        meter.end(wall_ns)
    assert min(meter.cpu_shares) >= 0


def test_a_datagram_has_room_for_its_header() -> None:
    with pytest.raises(PlanError, match="at least 16"):
        ProbeTest(transport=Transport.UDP, block_bytes=15)
    ProbeTest(transport=Transport.UDP, block_bytes=16)


def test_omitted_datagrams_are_counted_separately() -> None:
    back = FakeStream(1, sends=False)
    back.jitter = 77
    meter = Meter([back], 0, limited=False)
    back.counts = (100, 10, 3, 1)
    meter.omit_until(NS_PER_S)
    back.counts = (300, 30, 4, 1)
    tick = meter.tick(2 * NS_PER_S, omitted=False)
    assert (tick.packets, tick.lost) == (30, 4)
    meter.end(2 * NS_PER_S)
    (count,) = meter.counts()
    assert (count.bytes, count.packets, count.lost, count.out_of_order, count.jitter_ns) == (200, 20, 1, 0, 77)
    assert (count.omitted_packets, count.omitted_lost) == (10, 3)


def test_the_time_of_a_limited_stream_ends_with_its_last_byte() -> None:
    fast, slow = FakeStream(1, sends=True), FakeStream(3, sends=True)
    meter = Meter([fast, slow], 0, limited=True)
    fast.cell[LAST], slow.cell[LAST] = 300, 700
    meter.end(1000)
    assert [count.ns for count in meter.counts()] == [300, 700]
    assert meter.wall_ns == 700
