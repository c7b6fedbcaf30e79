"""The result of one test from the counts of its client, and of the far end if they came.  No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from loadgen.measure.throughput import NO_LATENCY, UNKNOWN, Granted, Latency, ProbeResult, StreamResult, Tick
from loadgen.model.probe import ProbeTest
from loadgen.probe.latency import Asked, latency
from loadgen.probe.messages import Results
from loadgen.probe.meter import Meter
from loadgen.probe.rr import Asker


def result_of(
    test: ProbeTest,
    meter: Meter,
    streams: tuple[StreamResult, ...],
    *,
    peer: str,
    local_granted: Granted,
    congestion: str,
    discarded: bool,
    ticks: tuple[Tick, ...],
    askers: Sequence[Asker],
) -> ProbeResult:
    """The result without the far end's numbers.  `meter` has ended, and so have the threads of `askers`."""
    return ProbeResult(
        test=test,
        peer=peer,
        started_at_ns=meter.began_ns,
        wall_ns=meter.wall_ns,
        local_cpu_ns=meter.cpu_ns,
        remote_cpu_ns=UNKNOWN,
        local_busiest_ns=meter.busiest_ns,
        local_runnable_ns=meter.runnable_ns,
        local_granted=local_granted,
        remote_granted=Granted(),
        congestion=congestion,
        discarded=discarded,
        streams=streams,
        ticks=ticks,
        latency=_latency(meter, askers),
    )


def with_far_end(result: ProbeResult, theirs: Results) -> ProbeResult:
    """`result` with the numbers of the far end: its CPU time (of a stock iperf3 by its share), and its buffers."""
    cpu_ns = theirs.cpu_ns
    if cpu_ns == UNKNOWN and theirs.cpu_share >= 0:
        cpu_ns = round(theirs.cpu_share * result.wall_ns)
    return replace(
        result,
        remote_cpu_ns=cpu_ns,
        remote_busiest_ns=theirs.busiest_ns,
        remote_granted=Granted(send_bytes=theirs.granted_send_bytes, receive_bytes=theirs.granted_receive_bytes),
    )


def _latency(meter: Meter, askers: Sequence[Asker]) -> Latency:
    if not askers:
        return NO_LATENCY
    asked = [
        Asked(answered=one.histogram(), given_up=one.given_up, failed=one.failed, at_once=one.at_once) for one in askers
    ]
    return latency(asked, meter.base_ns, meter.base_ns + meter.wall_ns)
