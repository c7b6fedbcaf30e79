"""The times of the operations of measured windows, added up from tables of many cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from loadgen.measure.cells import CellTable
from loadgen.measure.censored import ResponseTimes, Times
from loadgen.measure.histogram import Histogram
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_S
from loadgen.verdict.http_result import HttpResult
from loadgen.verdict.result import RunResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """The lengths of the windows that count operations which were under way during all of them.

    `are_in_cells`: their waits are among those of the operations outside of all windows, as in `loadgen http`, which
    has one window.  Otherwise, only their number is known, from the tallies.
    """

    lengths_ns: Mapping[int, int]
    are_in_cells: bool

    @classmethod
    def of(cls, result: RunResult | HttpResult) -> Windows:
        """Those of a run; none in records of version 0.1.0."""
        if isinstance(result, HttpResult):
            lengths_s = {0: result.measured_s if result.total.due is not None else 0.0}
        else:
            lengths_s = {one.index: one.measured_s for one in result.iterations if one.cut is not None}
        lengths_ns = {window: round(length_s * NS_PER_S) for window, length_s in lengths_s.items() if length_s}
        return cls(lengths_ns=lengths_ns, are_in_cells=isinstance(result, HttpResult))


class TimesInWindows:
    """The times of all operations of the measured windows.

    They are those of `coordinator.output.hdr.times_of`, which makes an object of each cell: an hour of a thousand VMs
    has millions of them.
    """

    def __init__(self, windows: Windows) -> None:
        self._windows = windows
        self._response: list[Times] = []
        self._service: list[Times] = []
        self._before: list[tuple[Histogram, Histogram]] = []
        self._cut: Counter[int] = Counter()

    def add(self, table: CellTable) -> None:
        """Add the operations of these cells."""
        outside = (table.windows < 0).astype(np.int64)
        response = ResponseTimes(table, outside, 2)
        service = [table.add_up_times(name, outside, 2) for name in ("service", "service_failed", "service_cut")]
        self._response.append(response.times(0))
        self._service.append(Times(*(rows[0] for rows in service)))
        self._before.append((response.times(1).cut, service[-1][1]))
        for window in self._windows.lengths_ns:
            self._cut[window] -= int(table.outcomes[table.windows == window, Outcome.CUT].sum())

    def add_cut(self, window: int, number: int) -> None:
        """Add the cut operations of a window's tallies, which also count those that were due before it."""
        self._cut[window] += number

    @property
    def response(self) -> Times:
        """Done - due."""
        throughout = [self._throughout(window, 0) for window in self._windows.lengths_ns]
        return _sum(self._response, throughout)

    @property
    def service(self) -> Times:
        """Done - sent of the operations that were sent."""
        throughout = [self._throughout(window, 1) for window in self._windows.lengths_ns]
        return _sum(self._service, throughout)

    def _throughout(self, window: int, time: int) -> Histogram:
        """The waits of the operations that were under way during all of a window without being in its cells.

        See :func:`loadgen.verdict.fates.with_those_throughout`.  `time`: 0 of the response, 1 of the service.
        """
        length_ns = self._windows.lengths_ns[window]
        waits = Histogram.merge_all(both[time] for both in self._before).since(length_ns)
        if self._windows.are_in_cells:
            return waits
        number = max(0, self._cut[window])
        return Histogram.of(np.full(number if time == 0 else min(number, waits.total), length_ns))


def _sum(parts: list[Times], cut: list[Histogram]) -> Times:
    return Times(
        Histogram.merge_all(one.known for one in parts),
        Histogram.merge_all(one.failed for one in parts),
        Histogram.merge_all([*(one.cut for one in parts), *cut]),
    )
