"""Constructed network measurements, as of an undisturbed Gigabit Ethernet."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from coordinator.output.terminal.progress import Progress
from coordinator.record.header import Header
from coordinator.record.kinds import KIND_FORWARD, KIND_IPERF
from loadgen.measure.forwarding import NO_REPORT, HostReport, NicCounters, Passage, ProxyCounters, Service
from loadgen.measure.throughput import UNKNOWN, Granted, Latency, ProbeResult, StreamResult, Tick
from loadgen.model.probe import Direction, ForwardPlan, IperfPlan, Kind, Link, Mode, ProbeTest, Transport
from loadgen.model.units import NS_PER_S
from tests.support.results import environment

IPERF = IperfPlan(host="192.0.2.1", omit_ns=NS_PER_S)
FORWARD = ForwardPlan(flows=(1, 16))
RATES = {16 << 10: 524.0, 32 << 10: 888.0}
"""Mbit/s by window; 941.5 for every other window."""


def ticks(test: ProbeTest, sent_bps: float, received_bps: float) -> Iterator[Tick]:
    udp = test.transport is Transport.UDP
    for second in range((test.omit_ns + test.duration_ns) // NS_PER_S):
        yield Tick(
            start_ns=second * NS_PER_S,
            end_ns=(second + 1) * NS_PER_S,
            omitted=second * NS_PER_S < test.omit_ns,
            sent_bytes=int(sent_bps / 8),
            received_bytes=int(received_bps / 8),
            retransmits=second % 2 if sent_bps and not udp else UNKNOWN,
            rtt_ns=210_000 if sent_bps and not udp else UNKNOWN,
            cwnd_bytes=524_288 if sent_bps and not udp else UNKNOWN,
            packets=85 if udp else UNKNOWN,
            lost=1 if udp else UNKNOWN,
        )


def stream(number: int, direction: Direction, bps: float, test: ProbeTest) -> StreamResult:
    size = int(bps * test.duration_ns / NS_PER_S / 8)
    tcp = test.transport is Transport.TCP
    return StreamResult(
        id=number,
        direction=direction,
        sent_bytes=size,
        sent_ns=test.duration_ns,
        received_bytes=size,
        received_ns=test.duration_ns,
        retransmits=3 if tcp else UNKNOWN,
        rtt_ns=210_000 if tcp else UNKNOWN,
        rtt_min_ns=45_000 if tcp else UNKNOWN,
        cwnd_max_bytes=524_288 if tcp else UNKNOWN,
        packets=UNKNOWN if tcp else 850,
        lost=UNKNOWN if tcp else 17,
        out_of_order=UNKNOWN if tcp else 2,
        duplicates=UNKNOWN if tcp else 1,
        jitter_ns=UNKNOWN if tcp else 18_000,
    )


def latency(p50_ns: int = 40_000, *, failed: int = 0) -> Latency:
    return Latency(
        transactions=20_000,
        failed=failed,
        wall_ns=2 * NS_PER_S,
        p50_ns=p50_ns,
        p90_ns=2 * p50_ns,
        p99_ns=4 * p50_ns,
        max_ns=40 * p50_ns,
    )


def probe_result(test: ProbeTest, mbit_per_s: float, **changes: object) -> ProbeResult:
    """Return a test at a steady rate; `rate` is the sum of all streams in each direction."""
    bps = mbit_per_s * 1e6
    sends, receives = (test.direction in (way, Direction.BIDIR) for way in (Direction.SEND, Direction.RECEIVE))
    ways = [way for way, used in ((Direction.SEND, sends), (Direction.RECEIVE, receives)) if used]
    streams = [(way, bps / test.parallel) for way in ways for _ in range(test.parallel)]
    size = int(bps * test.duration_ns / NS_PER_S / 8) * len(ways)
    made = ProbeResult(
        test=test,
        peer="iperf 3.12",
        started_at_ns=1_000_000,
        wall_ns=test.duration_ns,
        local_cpu_ns=int(size * 0.11),
        remote_cpu_ns=int(size * 0.125),
        local_granted=Granted(send_bytes=2 * test.window_bytes, receive_bytes=2 * test.window_bytes),
        remote_granted=Granted(send_bytes=2 * test.window_bytes, receive_bytes=2 * test.window_bytes),
        congestion="cubic" if test.transport is Transport.TCP else "",
        discarded=False,
        streams=tuple(stream(2 * n + 1 if n else 1, way, rate, test) for n, (way, rate) in enumerate(streams)),
        ticks=tuple(ticks(test, bps * sends, bps * receives)),
    )
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]  # the test chooses the overrides


def rr_result(test: ProbeTest, found: Latency) -> ProbeResult:
    idle = probe_result(dataclasses.replace(test, kind=Kind.STREAM), 0)
    return dataclasses.replace(idle, test=test, streams=(), ticks=(), latency=found)


def iperf_results(
    plan: IperfPlan = IPERF, change: Callable[[ProbeResult], ProbeResult] = lambda one: one
) -> list[ProbeResult]:
    """Return all tests of the plan; repeats differ by 0.5 Mbit/s, and receiving is 20 Mbit/s slower than sending."""
    found = []
    for repeat in range(plan.repeats):
        for window_bytes in plan.windows_bytes:
            for direction in plan.directions:
                test = plan.test(window_bytes, direction)
                if plan.kind is not Kind.STREAM:
                    found.append(change(rr_result(test, latency(40_000 + 1000 * repeat))))
                    continue
                asked = plan.rate_bps * plan.parallel / 1e6
                rate = asked or RATES.get(window_bytes, 941.5) - 20 * (direction is Direction.RECEIVE) + repeat / 2
                found.append(change(probe_result(test, rate)))
    return found


def report(at_ns: int, *, crossed_bytes: int = 0, cpu_ns: int = 0, services: tuple[Service, ...] = ()) -> HostReport:
    """Return a report of a proxy host after `crossed_bytes` came in at va1 and went out at vb0, with 4 % of headers."""
    headers, acks = int(crossed_bytes * 1.04), crossed_bytes // 60
    return HostReport(
        version="0.1.0",
        at_ns=at_ns,
        cpu_ns=cpu_ns,
        memory_bytes=17_000_000,
        nics=(
            NicCounters(name="va1", rx_bytes=headers, tx_bytes=acks, rx_packets=9, tx_packets=3),
            NicCounters(name="vb0", rx_bytes=acks, tx_bytes=headers, rx_packets=3, tx_packets=9),
        ),
        services=services,
    )


def passage(link: Link, mode: Mode, test: ProbeTest, mbit_per_s: float, *, found: Latency | None = None) -> Passage:
    result = probe_result(test, mbit_per_s) if found is None else rr_result(test, found)
    whole = result.received_bytes() * (test.omit_ns + test.duration_ns) // test.duration_ns
    crossed = whole if found is None else 200 * found.transactions  # headers, and acknowledgements in both directions
    counters = ProxyCounters(accepted=2, forwarded_bytes=whole)
    service = Service(mode=mode, window_bytes=test.window_bytes, port=7001, counters=counters)
    proxied = () if mode is Mode.DIRECT else (service,)
    no_nic = link is Link.LOOPBACK and mode is Mode.DIRECT
    after = report(2, crossed_bytes=crossed, cpu_ns=int(whole * 0.18) if proxied else 0, services=proxied)
    if found is not None:
        nics = tuple(dataclasses.replace(nic, rx_bytes=crossed, tx_bytes=crossed) for nic in after.nics)
        after = dataclasses.replace(after, nics=nics)
    return Passage(
        link=link,
        mode=mode,
        window_bytes=test.window_bytes,
        flows=test.parallel,
        result=result,
        before=NO_REPORT if no_nic else report(1),
        after=NO_REPORT if no_nic else after,
    )


def forward_passages(
    plan: ForwardPlan = FORWARD,
    rate: Callable[[Link, Mode, int, int], float] = lambda link, mode, window_bytes, flows: (
        941.5 - 2.0 * (mode is Mode.COPY) - flows
    ),
) -> list[Passage]:
    """Return all tests of the plan at `rate(link, mode, window_bytes, flows)` Mbit/s."""
    made = []
    for link in plan.links:
        cells = [(window_bytes, 1, plan.repeats) for window_bytes in plan.windows_bytes]
        cells += [(plan.flows_window_bytes, flows, 1) for flows in plan.flows if flows > 1]
        for window_bytes, flows, repeats in cells:
            for _ in range(repeats):
                for mode in plan.modes:
                    test = ProbeTest(
                        window_bytes=window_bytes, parallel=flows, duration_ns=plan.duration_ns, omit_ns=plan.omit_ns
                    )
                    made.append(passage(link, mode, test, rate(link, mode, window_bytes, flows)))
        for kind, parallel in ((Kind.RR, 1), (Kind.CRR, 16)):
            for mode in plan.modes:
                test = ProbeTest(kind=kind, parallel=parallel, window_bytes=plan.flows_window_bytes)
                slower = 1 if mode is Mode.DIRECT else 3
                made.append(passage(link, mode, test, 0, found=latency(20_000 * slower)))
    return made


def iperf_header(plan: IperfPlan = IPERF) -> Header[IperfPlan]:
    return Header(kind=KIND_IPERF, started_at="2026-02-03T04:05:06+00:00", plan=plan, environment=environment())


def forward_header(plan: ForwardPlan = FORWARD) -> Header[ForwardPlan]:
    return Header(kind=KIND_FORWARD, started_at="2026-02-03T04:05:06+00:00", plan=plan, environment=environment())


def progress(finished: int = 6, *, steps: int = 40, notices: tuple[str, ...] = ()) -> Progress:
    """Return the progress in the middle of a run, five seconds into a test."""
    names = [
        f"{way} {window}K {repeat}/4"
        for repeat in range(1, 5)
        for window in (16, 32, 64, 128, 256)
        for way in ("receive", "send")
    ]
    test = IPERF.test(64 << 10, Direction.SEND)
    return Progress(
        title="TCP throughput: 192.0.2.1 port 5201",
        step=finished + 1,
        steps=steps,
        label=names[finished],
        kind=Kind.STREAM,
        elapsed_s=11.2 * finished + 5,
        total_s=448.0,
        ticks=tuple(
            dataclasses.replace(tick, sent_bytes=tick.sent_bytes - 9_000_000 * (number % 3))
            for number, tick in enumerate(ticks(test, 941.5e6, 0.0))
        )[:6],
        finished=tuple((name, 941.5 - 3.25 * number) for number, name in enumerate(names[:finished])),
        notices=notices,
    )
