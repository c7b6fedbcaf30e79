"""Was this end of a test the limit, so that the rate is its own and not that of the far end or the path?"""

from __future__ import annotations

import ipaddress

from loadgen.measure.throughput import ProbeResult
from loadgen.model.probe import Kind
from loadgen.model.units import format_window
from loadgen.verdict.network_ends import Limit, busy_here, busy_there, limit_of, runnable_here
from loadgen.verdict.network_evidence import IperfEvidence
from loadgen.verdict.network_sums import median_of, ways_of
from loadgen.verdict.result import Check


def own_end(evidence: IperfEvidence) -> Check | None:
    """The number of tests that this end limited; None without tests, and over loopback, where both ends are the same
    machine.

        A test whose cell reached the required rate is left out: the path carries at least that much.
    """
    if not evidence.results or _is_loopback(evidence.plan.host):
        return None
    limited = [
        one for one in evidence.results if limit_of(one, evidence.rules) is Limit.HERE and not _reached(evidence, one)
    ]
    detail = "the far end and the path could have been faster, and it would have shown"
    if limited:
        worst = max(limited, key=runnable_here)
        detail = f"{_name(worst)}: {own_use(worst)}, so the far end or the path may be faster"
    return Check(name="tests limited by this end", value=len(limited), limit=0, ok=not limited, detail=detail)


def own_use(result: ProbeResult) -> str:
    """The use of a core by the busiest thread of this end, in words, compared with the far end."""
    used, runnable, there = busy_here(result), runnable_here(result), busy_there(result)
    waited = f" and waited for one {100 * (runnable - used):.0f} % of the time" if runnable - used >= 0.01 else ""
    far = f"; the far end's used {100 * there:.0f} %" if there >= 0 else ""
    return f"this end's busiest thread used {100 * used:.0f} % of a core{waited}{far}"


def _reached(evidence: IperfEvidence, result: ProbeResult) -> bool:
    """Whether the median of the result's cell is at least the required rate, in each of its directions."""
    least_bps, test = evidence.plan.at_least_bps, result.test
    if not least_bps or test.kind is not Kind.STREAM:
        return False
    cell = [
        one
        for one in evidence.results
        if (one.test.window_bytes, one.test.direction) == (test.window_bytes, test.direction)
    ]
    return all(median_of(one.received_bps(way) for one in cell) >= least_bps for way in ways_of(test.direction))


def _name(result: ProbeResult) -> str:
    what = result.test.direction if result.test.kind is Kind.STREAM else result.test.kind
    return f"{what.value} {format_window(result.test.window_bytes)}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
