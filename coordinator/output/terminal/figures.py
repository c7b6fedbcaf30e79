"""Rates and times of an interval by target, for live views: all targets at once, for there may be a thousand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadgen.measure.cells import Cell, CellTable
from loadgen.measure.censored import ResponseTimes
from loadgen.model.outcome import Outcome
from loadgen.verdict.span import Span


class Figures:
    """The figures of an interval of `length_s` seconds; the last group is that of all `targets` together."""

    def __init__(self, cells: Mapping[tuple[int, int], Cell], targets: int, length_s: float) -> None:
        table = CellTable.of(cells)
        self._targets = targets
        self._group = table.targets.astype(np.int64)
        self.per_s = self._sums(table.outcomes[:, Outcome.OK] if len(table) else np.zeros(0), 1 / length_s)
        self.mbit_per_s = self._sums(table.bytes() if len(table) else np.zeros(0), 8e-6 / length_s)
        self._each = ResponseTimes(table, self._group, targets) if len(table) else None
        self._all = ResponseTimes(table, np.zeros_like(self._group), 1) if len(table) else None

    def percentiles_ms(self, q: float) -> list[Span | None]:
        """The percentile of the response times of each target, and of all; None where nothing ended."""
        if self._each is None or self._all is None:
            return [None] * (self._targets + 1)
        return [Span.of(found) for found in (*self._each.percentiles(q), *self._all.percentiles(q))]

    def _sums(self, values: NDArray[Any], factor: float) -> list[float]:
        sums = np.bincount(self._group, values.astype(np.float64), minlength=self._targets) * factor
        return [*sums.tolist(), float(sums.sum())]
