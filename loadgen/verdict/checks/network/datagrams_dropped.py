"""Did this end lose datagrams that had arrived, because it was too slow to take them?"""

from __future__ import annotations

from loadgen.measure.throughput import UNKNOWN
from loadgen.model.probe import Direction
from loadgen.model.units import format_window
from loadgen.verdict.network_evidence import IperfEvidence
from loadgen.verdict.result import Check


def datagrams_dropped(evidence: IperfEvidence) -> Check | None:
    """The largest share of a UDP stream's datagrams that this end's socket dropped; None where it received none.

    They are in the reported loss, but the path did not lose them.
    """
    shares = [
        (stream.dropped / max(1, stream.packets), stream.dropped, one.test)
        for one in evidence.results
        for stream in one.streams
        if stream.direction is Direction.RECEIVE and stream.dropped != UNKNOWN
    ]
    if not shares:
        return None
    worst, count, test = max(shares, key=lambda found: found[0])
    return Check.at_most(
        "datagrams dropped here",
        worst,
        evidence.rules.max_dropped_share,
        detail=f"{test.direction.value} {format_window(test.window_bytes)}: {count:,} found the socket's buffer full",
    )
