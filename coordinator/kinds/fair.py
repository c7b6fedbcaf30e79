"""The fairness of a tape run between its targets, from its measurements.  Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from coordinator.run.evidence import TapeEvidence, lost_connections
from loadgen.measure.cells import Cell
from loadgen.measure.censored import Times
from loadgen.measure.ledger import Totals
from loadgen.measure.slot_time import are_known, total_ns
from loadgen.measure.tally import operations_of, rows_of
from loadgen.verdict.fair_result import Fairness
from loadgen.verdict.fair_run import Rows, judge_fairness


def fairness_of(evidence: TapeEvidence, totals: Totals) -> Fairness | None:
    """Return how evenly the targets served; None for fewer than two of them.

    The complete windows count, or all windows if none is complete.  Connections that were lost with their engine do
    not count in the windows in which they were lost.
    """
    asked, measured, placement = evidence.asked, evidence.measured, evidence.fleet.placement
    begun = [window for window, measured_ns in sorted(measured.measured_ns.items()) if measured_ns > 0]
    windows = [window for window in begun if window in measured.complete] or begun
    if len(asked.targets) < 2 or not windows or len(placement.worker_of) != asked.connections:
        return None
    parts = []
    for number, window in enumerate(windows):
        size, busy_ns, operations, lived_ns, lost_ns = np.zeros((5, asked.connections), np.int64)
        tallies = totals.window_tallies(window)
        at = rows_of(tallies, asked.connections)
        size[at], busy_ns[at], operations[at] = tallies["bytes"], tallies["busy_ns"], operations_of(tallies)
        window_ns = measured.measured_ns[window]
        if are_known(tallies):
            lived_ns[at], lost_ns[at] = total_ns(tallies), tallies["failed_ns"] + tallies["rest_ns"]
            usable_ns = np.minimum(busy_ns + lost_ns + np.maximum(window_ns - lived_ns, 0), window_ns)
        else:
            usable_ns = np.full(asked.connections, window_ns)
        lost = lost_connections(evidence, window, totals)
        there = np.ones(asked.connections, bool) if lost is None else ~lost
        iteration = np.full(asked.connections, number)
        parts.append(
            [
                column[there]
                for column in (
                    iteration,
                    asked.target_of,
                    placement.worker_of,
                    operations,
                    size,
                    busy_ns,
                    usable_ns,
                )
            ]
        )
    iteration, vm, client, operations, size, busy_ns, usable_ns = (
        np.concatenate(column).astype(np.int64) for column in zip(*parts, strict=True)
    )
    was_asked = (operations > 0) | (busy_ns > 0)  # one operation may last for the whole window, and end after it
    rows = Rows(
        iteration=iteration,
        vm=vm,
        client=client,
        asked=was_asked,
        size=size,
        busy_ns=busy_ns,
        usable_ns=usable_ns,
    )
    names = [target.name for target in asked.targets]
    return judge_fairness(rows, names, placement.workers, windows, _response(totals, windows, len(names)))


def _response(totals: Totals, windows: Sequence[int], targets: int) -> dict[int, Times]:
    """The response times of each target that was asked for anything, over these windows."""
    cells = [totals.window(window) for window in windows]
    merged = {
        number: Cell.merge_all([some[number] for some in cells if number in some])
        for number in range(targets)
        if any(number in some for some in cells)
    }
    return {number: Times.response_of(cell) for number, cell in merged.items()}
