"""Both ends of a probe over loopback: right results in every direction."""

from __future__ import annotations

import asyncio
import socket

import pytest

from loadgen.measure.throughput import UNKNOWN, ProbeResult
from loadgen.model.probe import Direction, Kind, Transport
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.probe import client
from loadgen.probe.messages import Parameters
from loadgen.probe.sockets import tune
from tests.support.probe_steps import played
from tests.support.probes import (
    HOST,
    SHORT_NS,
    footprint,
    probe,
    run,
    serving,
    short,
)


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("parallel", [1, 3])
def test_a_limit_is_kept_to_the_byte_in_every_direction(direction: Direction, parallel: int) -> None:
    limit = 3_000_001
    result, served = played(short(direction=direction, parallel=parallel, limit_bytes=limit, block_bytes=10_000))
    both = (Direction.SEND, Direction.RECEIVE) if direction is Direction.BIDIR else (direction,)
    for one in both:
        streams = [stream for stream in result.streams if stream.direction is one]
        assert len(streams) == parallel
        assert sum(stream.sent_bytes for stream in streams) == limit
        assert sum(stream.received_bytes for stream in streams) == limit
    assert len(result.streams) == parallel * len(both)
    assert result.peer.startswith("loadgen ")
    (test,) = served.tests
    assert test.ended == "done"
    assert test.received_bytes == (limit if direction is not Direction.RECEIVE else 0)
    assert test.sent_bytes == (limit if direction is not Direction.SEND else 0)


@pytest.mark.parametrize("direction", Direction)
def test_a_timed_test_counts_what_arrives(direction: Direction) -> None:
    result, _ = played(short(direction=direction))
    assert result.wall_ns == pytest.approx(SHORT_NS, rel=0.5)
    for stream in result.streams:
        assert 0 < stream.received_bytes <= stream.sent_bytes
        assert stream.received_ns == pytest.approx(SHORT_NS, rel=0.5)
        assert (stream.retransmits >= 0, stream.rtt_ns > 0, stream.cwnd_max_bytes > 0) == (True, True, True)
    assert result.local_cpu_ns > 0
    assert result.remote_cpu_ns > 0
    assert result.discarded == (direction is not Direction.SEND)
    assert sum(tick.sent_bytes + tick.received_bytes for tick in result.ticks) > 0


def test_windows_are_asked_for_at_both_ends() -> None:
    result, _ = played(short(window_bytes=65536, limit_bytes=1 << 20))
    for granted in (result.local_granted, result.remote_granted):
        assert (granted.send_bytes, granted.receive_bytes) == (131072, 131072)  # Linux doubles what was asked for


@pytest.mark.parametrize("transport", Transport)
@pytest.mark.parametrize("direction", Direction)
def test_a_paced_stream_keeps_its_rate(transport: Transport, direction: Direction) -> None:
    result, _ = played(short(transport=transport, direction=direction, rate_bps=8_000_000, block_bytes=1000))
    for stream in result.streams:
        assert stream.received_bps == pytest.approx(8_000_000, rel=0.5)


def test_omitted_time_is_omitted_at_both_ends() -> None:
    result, served = played(short(omit_ns=SHORT_NS, rate_bps=8_000_000, direction=Direction.BIDIR))
    for stream in result.streams:
        assert stream.received_ns == pytest.approx(SHORT_NS, rel=0.5)
        assert stream.received_bytes == pytest.approx(100_000, rel=0.5)
    assert [tick.omitted for tick in result.ticks] == [True, False]
    assert served.tests[0].seconds == pytest.approx(0.1, rel=0.5)


@pytest.mark.parametrize("direction", Direction)
def test_datagrams_are_counted_at_both_ends(direction: Direction) -> None:
    test = short(transport=Transport.UDP, direction=direction, parallel=2, rate_bps=8_000_000, block_bytes=500)
    result, _ = played(test)
    for stream in result.streams:
        assert stream.packets * 500 == stream.received_bytes
        assert (stream.lost, stream.out_of_order, stream.retransmits) == (0, 0, UNKNOWN)
        assert stream.jitter_ns >= 0
        assert stream.received_bytes <= stream.sent_bytes


def test_a_limited_udp_test_sends_its_bytes() -> None:
    result, _ = played(short(transport=Transport.UDP, limit_bytes=10_300, block_bytes=1000, rate_bps=8_000_000))
    (stream,) = result.streams
    assert (stream.sent_bytes, stream.received_bytes, stream.packets, stream.lost) == (10_300, 10_300, 11, 0)


@pytest.mark.parametrize("kind", [Kind.RR, Kind.CRR])
def test_request_response_is_timed(kind: Kind) -> None:
    result, served = played(short(kind=kind, parallel=2, omit_ns=SHORT_NS // 2))
    latency = result.latency
    assert latency.transactions > 0
    assert latency.failed == 0
    assert 0 < latency.p50_ns <= latency.p90_ns <= latency.p99_ns <= latency.max_ns < NS_PER_S
    assert latency.wall_ns == pytest.approx(SHORT_NS, rel=0.5)
    assert result.streams == ()
    assert result.remote_cpu_ns > 0
    assert served.tests[0].what.startswith(kind.value.upper())


def test_many_clients_are_served_at_once_each_with_its_own_result() -> None:
    tests = [short(direction=direction, limit_bytes=1_000_000 + n) for n, direction in enumerate([*Direction] * 2)]
    udp = [short(direction=direction, transport=Transport.UDP, block_bytes=100) for direction in [*Direction] * 2]

    async def scenario() -> list[ProbeResult]:
        async with serving() as served:
            return await asyncio.gather(*(probe(test, served.port) for test in [*tests, *udp]))

    results = run(scenario)
    for test, result in zip(tests, results, strict=False):
        for stream in result.streams:
            assert stream.sent_bytes == stream.received_bytes == test.limit_bytes
    for result in results[len(tests) :]:
        for stream in result.streams:
            # A busy machine loses some datagrams.
            assert (stream.packets - stream.lost) * 100 == stream.received_bytes > 0


def test_ipv6_and_ipv4_share_a_server() -> None:
    async def scenario() -> list[str]:
        async with serving(host="::") as served:
            for host in ("::1", HOST):
                for transport in Transport:
                    await probe(short(transport=transport, limit_bytes=1000), served.port, host=host)
            return [test.client for test in await served.until_served(4)]

    assert run(scenario) == ["::1", "::1", HOST, HOST]


def test_a_type_of_service_goes_out_over_ipv4_from_a_socket_for_both() -> None:
    with socket.socket(socket.AF_INET6) as sock:
        tune(sock, Parameters(type_of_service=32))
        assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == 32


def test_ticks_come_each_second_after_whatever_was_omitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_TICK_NS", 80 * NS_PER_MS)  # a second, for this test
    result, _ = played(short(omit_ns=40 * NS_PER_MS, rate_bps=8_000_000))
    assert [tick.omitted for tick in result.ticks] == [True, False, False]


def test_nothing_is_left_of_good_tests() -> None:
    async def scenario() -> tuple[tuple[int, int], tuple[int, int]]:
        async with serving() as served:
            before = footprint()
            for test in (
                short(limit_bytes=1000, parallel=3, direction=Direction.BIDIR),
                short(limit_bytes=1000, transport=Transport.UDP),
                short(kind=Kind.RR),
                short(kind=Kind.CRR, parallel=3),
            ):
                await probe(test, served.port)
            await served.until_served(4)
            return before, footprint()

    before, after = run(scenario)
    assert after == before
<<<<<<< HEAD
=======


@pytest.mark.parametrize(
    "options", [{"parallel": 2}, {"transport": Transport.UDP}, {"kind": Kind.CRR}], ids=["tcp", "udp", "crr"]
)
def test_a_cancelled_test_ends_at_both_ends(options: dict[str, Any]) -> None:
    test = short(duration_ns=30 * NS_PER_S, **options)

    async def scenario() -> tuple[str, tuple[int, int], tuple[int, int]]:
        async with serving() as served:
            before = footprint()
            task = asyncio.create_task(probe(test, served.port))
            await asyncio.sleep(0.3)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            tests = await served.until_served(1)
            return tests[0].ended, before, footprint()

    ended, before, after = run(scenario)
    assert ended == "it broke the test off"
    assert after == before


def test_a_server_that_is_stopped_says_so_to_its_clients() -> None:
    async def scenario() -> tuple[str, str]:
        async with serving() as served:
            task = asyncio.create_task(probe(short(duration_ns=30 * NS_PER_S), served.port))
            await asyncio.sleep(0.3)
            await served.server.close()
            with pytest.raises(ProbeError) as caught:
                await task
            return caught.value.message, served.tests[0].ended

    message, ended = run(scenario)
    assert message.endswith("was stopped and broke the test off")
    assert ended == "the server was stopped"


def test_a_user_is_told_what_this_machine_cannot_do() -> None:
    with pytest.raises(PlanError, match="no congestion control nonsense") as caught:
        run(lambda: probe(short(congestion="nonsense"), 1))
    assert "reno" in caught.value.hint
    with pytest.raises(PlanError, match="cores"):
        run(lambda: probe(short(cores=(9999,)), 1))
    core = min(os.sched_getaffinity(0))
    result, _ = played(short(cores=(core,), limit_bytes=1000, congestion="reno"))
    assert result.congestion == "reno"


def test_a_user_is_told_where_nobody_answers() -> None:
    with socket.socket() as unused:
        unused.bind((HOST, 0))
        with pytest.raises(ProbeError, match="refuses the connection") as caught:
            run(lambda: probe(short(), unused.getsockname()[1]))
    assert "--server" in caught.value.hint
    with pytest.raises(ProbeError, match="cannot be found"):
        run(lambda: probe(short(), 5201, host="no..such"))


def test_an_address_that_cannot_be_had_is_the_users_to_mend() -> None:
    async def scenario() -> None:
        async with serving() as served:
            with pytest.raises(PlanError, match="cannot listen"):
                await served.server.open(HOST, served.port)

    run(scenario)


class NoIpv6(socket.socket):
    """Of a machine that has none, whatever a name server says."""

    def __init__(self, family: int = -1, *others: Any, **more: Any) -> None:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
        super().__init__(family, *others, **more)


def test_a_user_is_told_what_this_machine_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", NoIpv6)
    with pytest.raises(ProbeError, match="cannot be reached from here: Address family not supported"):
        run(lambda: probe(short(), 5201, host="::1"))


def no_thread(self: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_a_user_is_told_that_no_thread_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading.Thread, "start", no_thread)

    async def scenario() -> None:
        async with scripted_server(server_in_running) as port:
            with pytest.raises(PlanError, match="cannot run 2 streams: no more threads"):
                await probe(short(parallel=2), port)

    run(scenario)


def test_a_server_without_threads_refuses_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> list[str]:
        async with serving() as served:
            with monkeypatch.context() as without:
                without.setattr(threading.Thread, "start", no_thread)
                peer = await Peer.connect(served.port)
                data = await in_running(peer, served.port)
                await refused(peer)
                await until(lambda: len(served.tests) == 1)
            for one in (data, peer):
                await one.close()
            await probe(short(limit_bytes=1000), served.port)
            return [test.ended for test in await served.until_served(2)]

    assert run(scenario) == [
        "it was refused: it could not accept a stream (Resource temporarily unavailable)",
        "done",
    ]


# What a client may do at each step of the protocol, against our server: (script, counter, how the test ended).

RIGHT: dict[str, Any] = {"tcp": True, "omit": 0, "time": 5, "num": 0, "blockcount": 0, "parallel": 1, "len": 1000}


async def says_nothing(peer: Peer, port: int) -> None:
    await peer.ended()


async def shows_half_a_cookie(peer: Peer, port: int) -> None:
    peer.send(COOKIE[:20])
    await peer.ended()


async def speaks_http(peer: Peer, port: int) -> None:
    peer.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n")
    assert await peer.ended() == b""


async def closes_at_once(peer: Peer, port: int) -> None:
    await peer.close()


async def in_parameters(peer: Peer) -> None:
    peer.send(COOKIE)
    assert await peer.state() == State.PARAM_EXCHANGE


async def in_streams(peer: Peer) -> None:
    await in_parameters(peer)
    peer.send(RIGHT)
    assert await peer.state() == State.CREATE_STREAMS


async def in_running(peer: Peer, port: int) -> Peer:
    await in_streams(peer)
    data = await Peer.connect(port)
    data.send(COOKIE)
    assert await peer.state() == State.TEST_START
    assert await peer.state() == State.TEST_RUNNING
    return data


async def in_results(peer: Peer, port: int) -> Peer:
    data = await in_running(peer, port)
    data.send(bytes(5000))
    peer.send(State.TEST_END)
    assert await peer.state() == State.EXCHANGE_RESULTS
    return data


async def refused(peer: Peer) -> None:
    assert await peer.state() == State.SERVER_ERROR
    await peer.ended()


async def never_sends_parameters(peer: Peer, port: int) -> None:
    await in_parameters(peer)
    await peer.ended()


async def leaves_before_its_parameters(peer: Peer, port: int) -> None:
    await in_parameters(peer)
    await peer.close()


async def announces_4_gigabytes(peer: Peer, port: int) -> None:
    await in_parameters(peer)
    peer.send(b"\xff\xff\xff\xff")
    await refused(peer)


async def sends_garbage_parameters(peer: Peer, port: int) -> None:
    await in_parameters(peer)
    peer.send(struct.pack(">I", 50) + os.urandom(50))
    await refused(peer)


async def asks_for_too_many_streams(peer: Peer, port: int) -> None:
    await in_parameters(peer)
    peer.send({**RIGHT, "parallel": 600, "bidirectional": True})
    await refused(peer)


async def asks_for_an_unknown_congestion_control(peer: Peer, port: int) -> None:
    await in_parameters(peer)
    peer.send({**RIGHT, "congestion": "nonsense"})
    await refused(peer)


async def opens_no_streams(peer: Peer, port: int) -> None:
    await in_streams(peer)
    await peer.ended()


async def opens_no_udp_streams(peer: Peer, port: int) -> None:
    await in_parameters(peer)
    peer.send({**RIGHT, "tcp": False, "udp": True})
    assert await peer.state() == State.CREATE_STREAMS
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"what is this", (HOST, port))
    await peer.ended()


async def opens_half_of_its_streams(peer: Peer, port: int) -> None:
    await in_parameters(peer)
    peer.send({**RIGHT, "parallel": 2})
    assert await peer.state() == State.CREATE_STREAMS
    data = await Peer.connect(port)
    data.send(COOKIE)
    assert await data.ended() == b""
    await data.close()


async def leaves_before_its_streams(peer: Peer, port: int) -> None:
    await in_streams(peer)
    await peer.close()


async def talks_out_of_turn(peer: Peer, port: int) -> None:
    await in_streams(peer)
    peer.send(State.TEST_END)
    await refused(peer)


async def leaves_in_the_middle(peer: Peer, port: int) -> None:
    data = await in_running(peer, port)
    await peer.close()
    await data.ended()
    await data.close()


async def resets_everything_in_the_middle(peer: Peer, port: int) -> None:
    data = await in_running(peer, port)
    for one in (data, peer):
        sock = one.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.writer.transport.abort()


async def breaks_off_in_the_middle(peer: Peer, port: int) -> None:
    data = await in_running(peer, port)
    peer.send(State.CLIENT_TERMINATE)
    await peer.ended()
    await data.close()


async def babbles_in_the_middle(peer: Peer, port: int) -> None:
    data = await in_running(peer, port)
    peer.send(77)
    await refused(peer)
    await data.close()


async def never_sends_results(peer: Peer, port: int) -> None:
    data = await in_results(peer, port)
    await peer.ended()
    await data.close()


async def sends_garbage_results(peer: Peer, port: int) -> None:
    data = await in_results(peer, port)
    peer.send({"streams": 5})
    await refused(peer)
    await data.close()


async def leaves_before_its_results(peer: Peer, port: int) -> None:
    data = await in_results(peer, port)
    await peer.close()
    await data.close()


async def never_says_done(peer: Peer, port: int) -> None:
    data = await in_results(peer, port)
    peer.send({"streams": []})
    assert (await peer.block())["streams"][0]["bytes"] <= 5000
    await peer.ended()
    await data.close()


BAD_CLIENTS: dict[Callable[[Peer, int], Awaitable[None]], tuple[str, str]] = {
    says_nothing: ("timed_out", ""),
    shows_half_a_cookie: ("timed_out", ""),
    speaks_http: ("garbage", ""),
    closes_at_once: ("garbage", ""),
    never_sends_parameters: ("timed_out", "did not send its block"),
    leaves_before_its_parameters: ("tests_broken", "closed its control connection"),
    announces_4_gigabytes: ("garbage", "4294967295 bytes"),
    sends_garbage_parameters: ("garbage", "not JSON"),
    asks_for_too_many_streams: ("tests_broken", "so many parallel streams"),
    asks_for_an_unknown_congestion_control: ("tests_broken", "congestion control"),
    opens_no_streams: ("timed_out", "did not open its streams"),
    opens_no_udp_streams: ("timed_out", "did not open its streams"),
    opens_half_of_its_streams: ("timed_out", "did not open its streams"),
    leaves_before_its_streams: ("tests_broken", "closed its control connection"),
    talks_out_of_turn: ("garbage", "TEST_END at the wrong time"),
    leaves_in_the_middle: ("tests_broken", "closed its control connection"),
    resets_everything_in_the_middle: ("tests_broken", "connection"),
    breaks_off_in_the_middle: ("tests_broken", "broke the test off"),
    babbles_in_the_middle: ("garbage", "unknown state 77"),
    never_sends_results: ("timed_out", "did not send its block"),
    sends_garbage_results: ("garbage", "streams"),
    leaves_before_its_results: ("tests_broken", "closed its control connection"),
    never_says_done: ("timed_out", "did not answer"),
}


BEFORE_PARAMETERS = {
    never_sends_parameters,
    leaves_before_its_parameters,
    announces_4_gigabytes,
    sends_garbage_parameters,
}


@pytest.mark.parametrize("script", BAD_CLIENTS, ids=lambda script: script.__name__)
def test_a_bad_client_costs_only_itself(script: Callable[[Peer, int], Awaitable[None]]) -> None:
    counter, ended = BAD_CLIENTS[script]

    async def scenario() -> None:
        async with serving(patience_ns=QUICK_NS) as served:
            before = footprint()
            peer = await Peer.connect(served.port)
            await script(peer, served.port)
            await peer.close()
            counters = served.server.counters
            await until(lambda: getattr(counters, counter) == 1)
            if ended:
                await until(lambda: len(served.tests) == 1)
                assert ended in served.tests[0].ended
                assert (served.tests[0].what == "no parameters") == (script in BEFORE_PARAMETERS)
                assert counters.tests_broken == 1
            assert counters.tests_done == 0
            with contextlib.suppress(TimeoutError):
                await until(lambda: footprint() == before, 2)
            assert footprint() == before
            await probe(short(limit_bytes=1000), served.port)  # and it goes on serving

    run(scenario)


def test_bytes_that_are_late_for_the_end_still_count_for_a_limit() -> None:
    async def scenario() -> dict[str, Any]:
        async with serving() as served:
            peer = await Peer.connect(served.port)
            await in_parameters(peer)
            peer.send({**RIGHT, "time": 0, "num": 5000})
            assert await peer.state() == State.CREATE_STREAMS
            data = await Peer.connect(served.port)
            data.send(COOKIE)
            assert [await peer.state(), await peer.state()] == [State.TEST_START, State.TEST_RUNNING]
            peer.send(State.TEST_END)
            assert await peer.state() == State.EXCHANGE_RESULTS
            peer.send({"streams": [{"id": 1, "bytes": 5000}]})
            await asyncio.sleep(0.05)
            data.send(bytes(5000))
            results = await peer.block()
            for one in (data, peer):
                await one.close()
            return results

    assert run(scenario)["streams"][0]["bytes"] == 5000


def test_a_stock_client_gets_more_than_its_limit_because_it_may_not_have_counted_all() -> None:
    async def scenario() -> bytes:
        async with serving() as served:
            peer = await Peer.connect(served.port)
            await in_parameters(peer)
            peer.send({**RIGHT, "time": 0, "num": 5000, "reverse": True})
            assert await peer.state() == State.CREATE_STREAMS
            data = await Peer.connect(served.port)
            data.send(COOKIE)
            received = await data.reader.readexactly(50_000)
            assert [await peer.state(), await peer.state()] == [State.TEST_START, State.TEST_RUNNING]
            peer.send(State.TEST_END)
            await data.ended()  # it may read whole blocks, and wait for the rest of one
            assert await peer.state() == State.EXCHANGE_RESULTS
            for one in (data, peer):
                await one.close()
            return received

    assert len(run(scenario)) == 50_000


def test_a_udp_stream_that_comes_while_another_is_let_in_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between bind and connect the new socket takes what is for the door."""
    visits: list[socket.socket] = []

    class Visited(socket.socket):
        def connect(self, address: Any) -> None:
            visitor = visits.pop() if visits else None
            if visitor is not None:
                visitor.sendto(UDP_CONNECT, self.getsockname())
            super().connect(address)

    monkeypatch.setattr(socket, "socket", Visited)

    async def scenario() -> None:
        async with serving(patience_ns=NS_PER_S) as served:
            peer = await Peer.connect(served.port)
            await in_parameters(peer)
            peer.send({**RIGHT, "tcp": False, "udp": True, "parallel": 2})
            assert await peer.state() == State.CREATE_STREAMS
            with (
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as first,
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as second,
            ):
                visits.append(second)
                first.sendto(UDP_CONNECT, (HOST, served.port))
                assert [await peer.state(), await peer.state()] == [State.TEST_START, State.TEST_RUNNING]
                for sock in (first, second):
                    sock.settimeout(1)
                    assert sock.recv(10) == UDP_ACCEPT
            await peer.close()

    run(scenario)


def test_a_greeting_that_comes_twice_is_one_stream() -> None:
    async def scenario() -> int:
        async with serving() as served:
            peer = await Peer.connect(served.port)
            await in_parameters(peer)
            peer.send({**RIGHT, "tcp": False, "udp": True, "parallel": 2})
            assert await peer.state() == State.CREATE_STREAMS
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as first:
                for _ in range(2):
                    first.sendto(UDP_CONNECT, (HOST, served.port))
                await until(lambda: served.server.counters.unknown_datagrams == 1)
            await peer.close()
            return len(served.tests)

    assert run(scenario) == 0  # it still waited for the second


def test_a_client_that_waits_for_its_turn_may_leave() -> None:
    async def scenario() -> list[str]:
        async with serving() as served:
            peers = [await Peer.connect(served.port) for _ in range(2)]
            for peer, cookie in zip(peers, (COOKIE, COOKIE.replace(b"a", b"b")), strict=True):
                peer.send(cookie)
                assert await peer.state() == State.PARAM_EXCHANGE
                peer.send({**RIGHT, "tcp": False, "udp": True})
            assert await peers[0].state() == State.CREATE_STREAMS
            await peers[1].close()
            ended = [test.ended for test in await served.until_served(1)]
            await peers[0].close()
            return ended

    assert run(scenario) == ["it closed its control connection"]


def test_streams_may_take_their_time_one_after_the_other() -> None:
    async def scenario() -> None:
        async with serving(patience_ns=NS_PER_S) as served:
            peer = await Peer.connect(served.port)
            await in_parameters(peer)
            peer.send({**RIGHT, "parallel": 3})
            assert await peer.state() == State.CREATE_STREAMS
            streams = []
            for _ in range(3):
                await asyncio.sleep(0.4)
                streams.append(await Peer.connect(served.port))
                streams[-1].send(COOKIE)
            assert [await peer.state(), await peer.state()] == [State.TEST_START, State.TEST_RUNNING]
            for one in (*streams, peer):
                await one.close()

    run(scenario)


def test_foreign_streams_and_datagrams_are_turned_away() -> None:
    async def scenario() -> None:
        async with serving() as served:
            peer = await Peer.connect(served.port)
            data = await in_running(peer, served.port)
            second = await Peer.connect(served.port)
            second.send(COOKIE)  # one more than was asked for
            assert await second.ended() == b""
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.sendto(b"9876", (HOST, served.port))
                await until(lambda: served.server.counters.unknown_datagrams == 1)
            assert served.server.counters.garbage == 1
            peer.send(State.CLIENT_TERMINATE)
            await served.until_served(1)
            third = await Peer.connect(served.port)
            third.send(COOKIE)  # its test is over
            assert await third.ended() == b""
            assert served.server.counters.late == 1
            for one in (second, third, data, peer):
                await one.close()

    run(scenario)


def test_strangers_are_limited() -> None:
    async def scenario() -> None:
        async with serving(strangers=2) as served:
            peers = [await Peer.connect(served.port) for _ in range(3)]
            assert await peers[2].ended() == b""
            assert served.server.counters.refused_busy == 1
            for peer in peers:
                await peer.close()

    run(scenario)


# What a server may do at each step, against our client: (script, what the user is told).


async def hears_the_cookie(peer: Peer) -> None:
    assert len(await peer.reader.readexactly(37)) == 37


async def hears_the_parameters(peer: Peer) -> dict[str, Any]:
    await hears_the_cookie(peer)
    peer.send(State.PARAM_EXCHANGE)
    return await peer.block()


async def server_in_running(peer: Peer) -> None:
    await hears_the_parameters(peer)
    peer.send(State.CREATE_STREAMS, State.TEST_START, State.TEST_RUNNING)


async def server_in_results(peer: Peer) -> None:
    await server_in_running(peer)
    assert await peer.state() == State.TEST_END
    peer.send(State.EXCHANGE_RESULTS)
    await peer.block()


async def silent_server(peer: Peer) -> None:
    await peer.ended()


async def closing_server(peer: Peer) -> None:
    await hears_the_cookie(peer)
    await peer.close()


async def http_server(peer: Peer) -> None:
    peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await peer.ended()


async def busy_server(peer: Peer) -> None:
    await hears_the_cookie(peer)
    peer.send(State.ACCESS_DENIED)
    await peer.close()


async def refusing_server(peer: Peer) -> None:
    await hears_the_parameters(peer)
    peer.send(State.SERVER_ERROR, struct.pack(">ii", 134, 2))
    await peer.ended()


async def half_refusing_server(peer: Peer) -> None:
    await hears_the_parameters(peer)
    peer.send(State.SERVER_ERROR, b"\0")
    await peer.ended()


async def never_creating_server(peer: Peer) -> None:
    await hears_the_parameters(peer)
    await peer.ended()


async def server_of_other_ways(peer: Peer) -> None:
    await hears_the_parameters(peer)
    peer.send(State.LOADGEN, struct.pack(">I", 1 << 30))
    await peer.ended()


async def hurrying_server(peer: Peer) -> None:
    await hears_the_parameters(peer)
    peer.send(State.DISPLAY_RESULTS)
    await peer.ended()


async def terminating_server(peer: Peer) -> None:
    await server_in_running(peer)
    await asyncio.sleep(0.05)
    peer.send(State.SERVER_TERMINATE)
    await peer.ended()


async def vanishing_server(peer: Peer) -> None:
    await server_in_running(peer)
    await asyncio.sleep(0.05)
    await peer.close()


async def server_without_an_end(peer: Peer) -> None:
    await server_in_running(peer)
    await peer.ended()


async def server_of_large_results(peer: Peer) -> None:
    await server_in_results(peer)
    peer.send(b"\x7f\xff\xff\xff")
    await peer.ended()


async def server_of_wrong_results(peer: Peer) -> None:
    await server_in_results(peer)
    peer.send({"streams": [{"id": 1, "bytes": "many"}]})
    await peer.ended()


async def server_of_no_results(peer: Peer) -> None:
    await server_in_results(peer)
    peer.send({"streams": []}, State.DISPLAY_RESULTS)
    await peer.ended()


async def server_that_leaves_with_the_results(peer: Peer) -> None:
    await server_in_results(peer)
    await peer.close()


BAD_SERVERS: dict[Callable[[Peer], Awaitable[None]], str] = {
    silent_server: "did not answer for 0.1 s",
    closing_server: "closed its control connection",
    http_server: "sent the unknown state 72",
    busy_server: "is busy with another test",
    refusing_server: "cannot run the test: it does not know that congestion control",
    half_refusing_server: "did not send the number of its error",
    never_creating_server: "did not answer for 0.1 s",
    server_of_other_ways: "announced a block of 1073741824 bytes",
    hurrying_server: "sent DISPLAY_RESULTS instead of LOADGEN or CREATE_STREAMS",
    terminating_server: "was stopped and broke the test off",
    vanishing_server: "closed its control connection",
    server_without_an_end: "did not answer for 0.1 s",
    server_of_large_results: "announced a block of 2147483647 bytes",
    server_of_wrong_results: "invalid 'bytes': it must be a whole number",
    server_of_no_results: "its results leave out stream 1",
    server_that_leaves_with_the_results: "closed its control connection",
}


@pytest.mark.parametrize("script", BAD_SERVERS, ids=lambda script: script.__name__)
def test_a_bad_server_is_told_in_one_line(script: Callable[[Peer], Awaitable[None]]) -> None:
    async def scenario() -> tuple[str, int]:
        async with scripted_server(script) as port:
            before = footprint()
            with pytest.raises(ProbeError) as caught:
                await probe(short(), port, patience_ns=QUICK_NS)
            await until(lambda: footprint()[1] <= before[1])
            return caught.value.message, port

    message, port = run(scenario)
    assert message.startswith(f"{HOST}:{port} ")
    assert BAD_SERVERS[script] in message
    assert "\n" not in message


def test_a_stream_that_broke_has_not_reached_its_limit() -> None:
    reset = asyncio.Event()

    async def resets(peer: Peer) -> None:
        await hears_the_cookie(peer)
        sock = peer.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.writer.transport.abort()
        await asyncio.sleep(0.02)
        reset.set()

    async def goes_on(peer: Peer) -> None:
        await hears_the_parameters(peer)
        peer.send(State.CREATE_STREAMS)
        await reset.wait()
        peer.send(State.TEST_START, State.TEST_RUNNING)
        assert await peer.state() == State.TEST_END
        peer.send(State.EXCHANGE_RESULTS)
        await peer.block()
        peer.send({"streams": [{"id": 1, "bytes": 0}]}, State.DISPLAY_RESULTS)

    async def scenario() -> None:
        async with scripted_server(goes_on, resets) as port:
            with pytest.raises(ProbeError, match="broke the test off in the middle"):
                await probe(short(limit_bytes=1000), port)

    run(scenario)


def test_calls_that_get_no_answer_are_counted_and_not_timed() -> None:
    async def of_ours(peer: Peer) -> None:
        await hears_the_parameters(peer)
        peer.send(State.LOADGEN, {"version": "1"}, State.CREATE_STREAMS, State.TEST_START, State.TEST_RUNNING)
        assert await peer.state() == State.TEST_END
        peer.send(State.EXCHANGE_RESULTS)
        await peer.block()
        peer.send({"streams": []}, State.DISPLAY_RESULTS)
        await peer.ended()

    async def hangs_up(peer: Peer) -> None:
        await hears_the_cookie(peer)
        await peer.close()

    async def scenario() -> ProbeResult:
        async with scripted_server(of_ours, hangs_up) as port:
            return await probe(short(kind=Kind.CRR, parallel=2), port)

    latency = run(scenario).latency
    assert latency.failed > 0
    assert (latency.transactions, latency.p50_ns) == (0, UNKNOWN)


@pytest.mark.parametrize("kind", [Kind.RR, Kind.CRR])
def test_a_server_without_request_response_is_recognised(kind: Kind) -> None:
    said: list[int] = []

    async def stock(peer: Peer) -> None:
        await hears_the_parameters(peer)
        peer.send(State.CREATE_STREAMS)
        said.append(await peer.state())

    async def scenario() -> None:
        async with scripted_server(stock) as port:
            with pytest.raises(ProbeError, match="is a stock iperf3, which has no request/response test") as caught:
                await probe(short(kind=kind), port)
            assert "loadgen iperf --server" in caught.value.hint
            await until(lambda: bool(said))

    run(scenario)
    assert said == [State.CLIENT_TERMINATE]


def test_our_parameters_are_what_a_stock_server_reads() -> None:
    seen: dict[str, Any] = {}

    async def watching(peer: Peer) -> None:
        seen.update(await hears_the_parameters(peer))
        await peer.close()

    async def scenario() -> None:
        async with scripted_server(watching) as port:
            test = short(direction=Direction.BIDIR, parallel=3, omit_ns=NS_PER_S // 2, window_bytes=65536)
            with pytest.raises(ProbeError):
                await probe(test, port)

    run(scenario)
    assert json.dumps(seen.pop("loadgen"))
    assert seen.pop("client_version").startswith("loadgen ")
    assert seen == {
        "tcp": True, "omit": 1, "time": 1, "num": 0, "blockcount": 0, "parallel": 3, "len": 1 << 20,
        "pacing_timer": 1000, "bidirectional": True, "window": 65536,
    }  # fmt: skip
>>>>>>> pure
