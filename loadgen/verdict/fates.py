"""What became of the operations of an HTTP run's window: answered, failed, or without a complete reply at its end."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadgen.measure.cells import Cell
from loadgen.measure.censored import PATIENCE
from loadgen.measure.histogram import Histogram
from loadgen.model.outcome import Outcome


@dataclass(frozen=True, slots=True, eq=False)
class Fates:
    """The operations of one target, or of all: those that belong to the window, and those under way during all of it.

    In a closed loop, those under way when the window opens belong to it (loadgen.measure.fold).

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
    return [Fates(cell, _unanswered(cell, patience_ns)) for cell, patience_ns in zip(own, _patiences(own), strict=True)]


def fates_by_stage(
    stages: Mapping[tuple[int, int], Cell],
    number: int,
    cells: Mapping[tuple[int, int], Cell],
    targets: int,
    nothing: Cell,
    measured_ns: int,
) -> list[Fates]:
    """The fates of `number` stages, over all targets.  `stages`: by (stage, target); the others as in fates_by_target.

    What is unanswered is decided in the whole window, so that the stages add up to it.
    """
    own = [_with_those_throughout(cells, target, nothing, measured_ns) for target in range(targets)]
    patiences = list(enumerate(_patiences(own)))
    by_target = [[(stages.get((at, target), nothing), ns) for target, ns in patiences] for at in range(number)]
    return [sum_of([Fates(cell, _unanswered(cell, ns)) for cell, ns in some], nothing) for some in by_target]


def sum_of(fates: Sequence[Fates], nothing: Cell) -> Fates:
    """The fates of all targets together."""
    return Fates(
        Cell.merge_all([nothing, *(one.cell for one in fates)]),
        Histogram.merge_all(one.unanswered for one in fates),
    )


def _with_those_throughout(cells: Mapping[tuple[int, int], Cell], target: int, nothing: Cell, measured_ns: int) -> Cell:
    """The target's cell of the window, with the operations that were due before the window and cut at its end.

    These are operations of an open loop: those of a closed loop are in the window's cell.  In records of version 0.1.0
    they are not, and a connection that waits since the warm-up has no other operation in the window.
    """
    cell, before = cells.get((0, target), nothing), cells.get((-1, target), nothing)
    if not measured_ns:
        return cell
    return _with_more_cut(cell, before.response_cut.since(measured_ns), before.service_cut.since(measured_ns))


def with_those_throughout(
    cell: Cell, before: Cell, window_tallies: NDArray[np.void], connections: NDArray[np.bool_], measured_ns: int
) -> Cell:
    """A target's cell of one of several windows, with the operations that were under way during all of the window.

    `window_tallies` (TALLY_DTYPE) also count the operations that reach into the window; `connections`: which ones are
    the target's.  A cut operation that was due before the window and reaches into it was under way until its end,
    because the traffic stops after the window.  It is only known that it had waited for `measured_ns`.  `before`: the
    target's operations outside of all windows.
    """
    own = window_tallies[connections[window_tallies["connection"]]]
    throughout = int(own["cut"].sum()) - cell.cut
    sent = min(throughout, before.service_cut.since(measured_ns).total)
    return _with_more_cut(cell, _waits(throughout, measured_ns), _waits(sent, measured_ns))


def _waits(number: int, wait_ns: int) -> Histogram:
    return Histogram.of(np.full(max(0, number), wait_ns))


def _with_more_cut(cell: Cell, response: Histogram, service: Histogram) -> Cell:
    if not response.total:
        return cell
    outcomes = np.array(cell.outcomes)
    outcomes[Outcome.CUT] += response.total
    return dataclasses.replace(
        cell,
        outcomes=outcomes,
        response_cut=Histogram.merge_all([cell.response_cut, response]),
        service_cut=Histogram.merge_all([cell.service_cut, service]),
    )


def _patiences(own: Sequence[Cell]) -> list[int]:
    """By target: PATIENCE times its slowest answered operation; times that of any target where it answered none."""
    slowest_ns = max((cell.response.max_ns for cell in own), default=0)
    return [PATIENCE * (cell.response.max_ns if cell.response.total else slowest_ns) for cell in own]


def _unanswered(cell: Cell, patience_ns: int) -> Histogram:
    return cell.response_cut.since(patience_ns + 1 if patience_ns else 0)
