"""Failed operations so far, as live views show them: by target, and of the time that the result will be about.

Also what succeeded since the first interval that was added, for the counters of a running command.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from loadgen.measure.cells import Cell, CellTable
from loadgen.measure.codes import codes_of
from loadgen.model.outcome import Outcome

_OUTSIDE = -1


class Failures:
    """Failures of one measured window; of the time before it, while no operation of the window has ended.

    The result leaves out failures outside of the window, so a view that went on counting them would contradict it.
    """

    def __init__(self, window: int) -> None:
        self._window = window
        self._bad: Counter[tuple[int, int]] = Counter()
        self._shed: Counter[tuple[int, int]] = Counter()
        self._codes: Counter[tuple[int, int]] = Counter()
        self._answered: Counter[int] = Counter()
        self._bytes: Counter[int] = Counter()
        self._shown = _OUTSIDE

    def add(self, cells: Mapping[tuple[int, int], Cell]) -> None:
        """Count the operations of an interval; `cells` by (window, target index)."""
        table = CellTable.of(cells)
        if not len(table):
            return
        windows, shed = table.windows, table.outcomes[:, Outcome.SHED].astype(np.int64)
        bad = table.bad() - shed
        for at in np.flatnonzero(bad + shed).tolist():  # in most intervals, none
            key = int(windows[at]), int(table.targets[at])
            self._shed[key] += int(shed[at])
            self._bad[key] += int(bad[at])
        targets, row = np.unique(table.targets, return_inverse=True)
        for counter, values in ((self._answered, table.outcomes[:, Outcome.OK]), (self._bytes, table.bytes())):
            sums = np.zeros(len(targets), np.int64)
            np.add.at(sums, row, values.astype(np.int64))
            counter.update(dict(zip(targets.tolist(), sums.tolist(), strict=True)))
        found, group = np.unique(windows, return_inverse=True)
        for window, statuses in zip(found.tolist(), table.statuses.add_up(group, len(found)), strict=True):
            for code, number in codes_of(statuses).items():
                self._codes[window, code] += number
        if self._window in found:
            self._shown = self._window

    def statuses(self) -> dict[int, int]:
        """The whole replies by status code, ascending; of the time that `bad` is about."""
        return {code: number for (window, code), number in sorted(self._codes.items()) if window == self._shown}

    def bad(self, target: int) -> int:
        """The failed operations of a target; those that were shed do not count."""
        return self._bad[self._shown, target]

    def shed(self, target: int) -> int:
        """The operations of a target that were due and shed, because too many waited for a connection."""
        return self._shed[self._shown, target]

    def answered(self, target: int) -> int:
        """The operations of a target that succeeded, in all intervals that were added."""
        return self._answered[target]

    def received_bytes(self, target: int) -> int:
        """The bytes of replies of a target, in all intervals that were added."""
        return self._bytes[target]
