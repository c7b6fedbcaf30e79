"""What became of the operations of an HTTP run's window: answered, failed, or without a complete reply at its end."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from loadgen.measure.cells import Cell
from loadgen.measure.censored import PATIENCE
from loadgen.measure.histogram import Histogram
from loadgen.model.outcome import Outcome


@dataclass(frozen=True, slots=True, eq=False)
class Fates:
    """The operations of one target, or of all: those due in the window, and those under way during all of it.

    `cell` counts them.  `unanswered`: the waits of the cut operations that count as unanswered
    (loadgen.measure.censored.PATIENCE).
    """

    cell: Cell
    unanswered: Histogram

    def silent_share(self, connections: int, measured_ns: int) -> float:
        """The share of the time of `connections` in operations that were unanswered at the end."""
        if not measured_ns or not connections:
            return 0.0
        throughout = self.unanswered.since(measured_ns)
        within_ns = self.unanswered.sum_ns() - throughout.sum_ns()
        return (within_ns / measured_ns + throughout.total) / connections


def fates_by_target(
    cells: Mapping[tuple[int, int], Cell], targets: int, nothing: Cell, measured_ns: int
) -> list[Fates]:
    """The fates of window 0 by target index.  `cells`: by (window, target); `nothing`: an empty cell."""
    own = [_with_those_throughout(cells, target, nothing, measured_ns) for target in range(targets)]
    slowest_ns = max((cell.response.max_ns for cell in own), default=0)
    return [Fates(cell, _unanswered(cell, slowest_ns)) for cell in own]


def sum_of(fates: Sequence[Fates], nothing: Cell) -> Fates:
    """The fates of all targets together."""
    return Fates(
        Cell.merge_all([nothing, *(one.cell for one in fates)]),
        Histogram.merge_all(one.unanswered for one in fates),
    )


def _with_those_throughout(cells: Mapping[tuple[int, int], Cell], target: int, nothing: Cell, measured_ns: int) -> Cell:
    """The target's cell of the window, with the operations that were due before the window and cut at its end.

    In a closed loop, a connection that waits since the warm-up has no other operation in the window.
    """
    cell, before = cells.get((0, target), nothing), cells.get((-1, target), nothing)
    throughout = before.response_cut.since(measured_ns)
    if not measured_ns or not throughout.total:
        return cell
    outcomes = np.array(cell.outcomes)
    outcomes[Outcome.CUT] += throughout.total
    return dataclasses.replace(
        cell,
        outcomes=outcomes,
        response_cut=Histogram.merge_all([cell.response_cut, throughout]),
        service_cut=Histogram.merge_all([cell.service_cut, before.service_cut.since(measured_ns)]),
    )


def _unanswered(cell: Cell, slowest_ns: int) -> Histogram:
    """`slowest_ns` is the slowest answered operation of any target; it counts where this target answered none."""
    patience_ns = PATIENCE * (cell.response.max_ns if cell.response.total else slowest_ns)
    return cell.response_cut.since(patience_ns + 1 if patience_ns else 0)
