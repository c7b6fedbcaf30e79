"""Did payload arrive in every test, in each of its directions?"""

from __future__ import annotations

from collections.abc import Iterator

from loadgen.measure.throughput import ProbeResult
from loadgen.model.probe import Direction, Kind, Transport
from loadgen.model.units import format_window
from loadgen.verdict.network_evidence import NetworkEvidence
from loadgen.verdict.result import Check


def traffic(evidence: NetworkEvidence) -> Check | None:
    """The number of TCP tests with a direction without payload; None without TCP tests: all datagrams may get lost."""
    certain = [one for one in evidence.results if one.test.transport is Transport.TCP]
    if not certain:
        return None
    silent = [name for one in certain for name in _silent(one)]
    detail = f"first: {silent[0]}" if silent else ""
    return Check(name="tests without traffic", value=len(silent), limit=0, ok=not silent, detail=detail)


def _silent(result: ProbeResult) -> Iterator[str]:
    """The name of the test if it lacks payload."""
    test, window = result.test, format_window(result.test.window_bytes)
    if test.kind is not Kind.STREAM:
        if not result.latency.transactions and not result.latency.unanswered:
            yield f"{test.kind.value} {window}"
    else:
        arrived = {one.direction for one in result.streams if one.received_bytes}
        wanted = {Direction.SEND, Direction.RECEIVE} if test.direction is Direction.BIDIR else {test.direction}
        # A byte limit may be used up by one direction before the other begins.
        if not arrived or (wanted - arrived and not test.limit_bytes):
            yield f"{test.direction.value} {window}"
