"""Folds the records of an open loop whose rate changes once more, by the stage in which each operation was due."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from loadgen.measure.cells import CellTable
from loadgen.measure.fold import FoldContext, fold


def fold_stages(records: NDArray[np.void], ctx: FoldContext, start_ns: int, ends_ns: NDArray[np.int64]) -> CellTable:
    """The cells of `records` (RECORD_DTYPE) by (stage, target).  `ends_ns`: of each stage, after `start_ns`; ascending.

    An operation belongs to the stage in which it was due, whenever it ended.  What was due outside of all stages is
    left out.
    """
    begins_ns = np.concatenate([[0], ends_ns[:-1]])
    due_ns = records["due_ns"] - start_ns
    stages = np.where(due_ns < 0, len(ends_ns), np.searchsorted(ends_ns, due_ns, side="right"))
    tables = []
    for stage in np.unique(stages[stages < len(ends_ns)]).tolist():
        cells, _ = fold(
            records[stages == stage],
            ctx,
            window=stage,
            window_start_ns=start_ns + int(begins_ns[stage]),
            window_end_ns=start_ns + int(ends_ns[stage]),
        )
        tables.append(cells)
    return CellTable.merge_all(tables)
