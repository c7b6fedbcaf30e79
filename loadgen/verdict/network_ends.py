"""Determines which end of a test was at the limit of its CPU.

A stream is not faster than one core lets its slower end be.  If the far end is at its limit, the rate is that of the
far end.  If only this end is, the rate is a lower bound of what the far end and the path carry.
"""

from __future__ import annotations

import enum

from loadgen.measure.throughput import UNKNOWN, ProbeResult
from loadgen.model.probe import Direction, Kind, Transport
from loadgen.verdict.network_rules import NetworkRules
from loadgen.verdict.network_sums import cores_of, ways_of


class Limit(enum.Enum):
    """The ends that were at the limit of their CPU."""

    NONE = "none"
    HERE = "here"
    THERE = "there"
    BOTH = "both"


def limit_of(result: ProbeResult, rules: NetworkRules) -> Limit:
    """Return the ends that limited a test.  An end that kept the requested rate limited nothing."""
    if _kept_its_pace(result, rules) and not _lost(result):
        return Limit.NONE
    here = runnable_here(result) >= rules.busy_core
    there = busy_there(result) >= rules.busy_core
    if here and there:
        return Limit.BOTH
    return Limit.HERE if here else Limit.THERE if there else Limit.NONE


def busy_here(result: ProbeResult) -> float:
    """The share (0..1) of a core that the busiest thread of this end used; UNKNOWN without a CPU time.

    Records of 0.1 only have the CPU time of all threads: one for each stream.
    """
    if result.local_busiest_ns != UNKNOWN:
        return cores_of(result.local_busiest_ns, result)
    cores = cores_of(result.local_cpu_ns, result)
    return cores / result.test.parallel if cores >= 0 else UNKNOWN


def runnable_here(result: ProbeResult) -> float:
    """The share (0..1) of the time in which a thread of this end used a core or waited for one; UNKNOWN as above."""
    if result.local_runnable_ns != UNKNOWN:
        return cores_of(result.local_runnable_ns, result)
    return busy_here(result)


def busy_there(result: ProbeResult) -> float:
    """As :func:`busy_here` for the far end.

    Before 3.16, iperf3 has a single thread.  It does not report its number of threads, so one is assumed.
    """
    if result.remote_busiest_ns != UNKNOWN:
        return cores_of(result.remote_busiest_ns, result)
    threads = result.test.parallel if result.peer.startswith("loadgen") else 1
    cores = cores_of(result.remote_cpu_ns, result)
    return cores / threads if cores >= 0 else UNKNOWN


def busy_end(source_busy: float, sink_busy: float, rules: NetworkRules) -> str:
    """ "source" or "sink", whichever used a whole core (the source if both did); empty if neither did."""
    if source_busy >= rules.busy_core:
        return "source"
    return "sink" if sink_busy >= rules.busy_core else ""


def _kept_its_pace(result: ProbeResult, rules: NetworkRules) -> bool:
    """Whether the sender reached the requested rate, by received bytes (TCP) or by sent bytes (UDP)."""
    test = result.test
    if test.kind is not Kind.STREAM or not test.rate_bps:
        return test.kind is Kind.STREAM and test.transport is Transport.UDP  # its default rate is 1 Mbit/s
    least_bps = rules.min_sent_share * test.rate_bps * test.parallel
    if test.transport is Transport.UDP:
        return True  # the check `datagrams sent` compares the sent rate with the requested rate
    return all(result.received_bps(way) >= least_bps for way in ways_of(test.direction))


def _lost(result: ProbeResult) -> bool:
    """Whether datagrams to this end were lost: it may have been too slow to receive them."""
    return any(one.lost > 0 for one in result.streams if one.direction is Direction.RECEIVE)
