"""Hypothesis strategies and small builders for measurements: records, tallies, cells, snapshots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from loadgen.measure.cells import Cell, CellTable
from loadgen.measure.histogram import TOP_NS, Histogram
from loadgen.measure.record import RECORD_DTYPE
from loadgen.measure.shown import Shown, escaped
from loadgen.measure.snapshot import Health, Snapshot
from loadgen.measure.tally import TALLY_DTYPE, merge_tallies
from loadgen.model.bound import Bound
from loadgen.model.outcome import OUTCOMES, Outcome
from loadgen.model.target import Target
from loadgen.verdict.rules import Asked

KINDS, GROUPS = 2, 3
CLASSES = ("class 0", "class 1", "class 2", "class 3")
CLASS_SHARES = (0.35, 0.50, 0.14, 0.01)

values_ns = st.lists(
    st.one_of(st.integers(0, 5000), st.integers(0, 10**11), st.integers(TOP_NS - 5, TOP_NS)), max_size=40
)
histograms = values_ns.map(lambda values: Histogram.of(np.array(values, np.int64)))
counters = st.integers(0, 2**40)


def _arrays(*shape: int) -> st.SearchStrategy[NDArray[np.int64]]:
    size = int(np.prod(shape))
    return st.lists(counters, min_size=size, max_size=size).map(lambda v: np.array(v, np.int64).reshape(shape))


cells = st.builds(
    Cell,
    outcomes=_arrays(OUTCOMES),
    counts=_arrays(KINDS, GROUPS, 3),
    good=counters,
    tolerable=counters,
    overdue=counters,
    bytes=counters,
    connects=st.integers(0, 1000),
    retries=st.integers(0, 1000),
    rest_ns=counters,
    response=histograms,
    service=histograms,
    lateness=histograms,
    response_failed=histograms,
    response_cut=histograms,
    service_failed=histograms,
    service_cut=histograms,
    surplus=st.integers(0, 1000),
    statuses=st.lists(st.integers(100, 999), max_size=5).map(lambda codes: Histogram.of(np.array(codes, np.int64))),
)
cell_maps = st.dictionaries(st.tuples(st.integers(-1, 1), st.integers(0, 2)), cells, max_size=2)
stage_maps = st.dictionaries(st.tuples(st.integers(0, 2), st.integers(0, 2)), cells, max_size=2)
healths = st.builds(
    Health,
    wall_ns=counters,
    cpu_ns=counters,
    runqueue_ns=st.integers(-1, 2**40),
    still_ns=counters,
    open_fds=counters,
    fd_limit=counters,
    sockets_time_wait=counters,
    active_connections=counters,
)


def rows(*given: Mapping[str, int], dtype: np.dtype[np.void] = TALLY_DTYPE) -> NDArray[np.void]:
    """Return a structured array from columns by field; missing fields are 0."""
    table = np.zeros(len(given), dtype)
    for at, row in enumerate(given):
        for name, value in row.items():
            table[name][at] = value
    return table


def records(*given: Mapping[str, int]) -> NDArray[np.void]:
    return rows(*given, dtype=RECORD_DTYPE)


shown = st.builds(
    Shown,
    target=st.integers(0, 2),
    outcome=st.sampled_from([one for one in Outcome if one.is_error]),
    text=st.binary(max_size=130).map(escaped),
)
tally_rows = st.fixed_dictionaries(
    {
        "window": st.integers(-1, 2),
        "connection": st.sampled_from([0, 1, 2, 2**32 - 1]),
        **{name: st.integers(0, 1000) for name in ("ok", "bad", "cut", "overdue", "good", "tolerable")},
        "bytes": st.integers(0, 2**40),
        "busy_ns": st.integers(0, 2**40),
    }
)
tallies = st.lists(tally_rows, max_size=8).map(lambda given: rows(*given))


def snapshots(workers: Sequence[str] = ("a", "b"), intervals: int = 5) -> st.SearchStrategy[Snapshot]:
    return st.builds(
        Snapshot,
        worker=st.sampled_from(workers),
        interval=st.integers(0, intervals - 1),
        cells=cell_maps,
        tallies=tallies.map(lambda table: merge_tallies([table])),
        health=healths,
        shown=st.lists(shown, max_size=2).map(tuple),
        stages=st.just(CellTable.of({})) | stage_maps,
    )


def targets(n: int) -> tuple[Target, ...]:
    return tuple(Target(name=f"vm{i}", host="127.0.0.1", port=8000 + i) for i in range(n))


def asked(vms: int, connections: int, bound: Bound | None = None) -> Asked:
    """Return a plan's demand: `vms` targets of `connections` connections each, one group, SPECweb99's classes."""
    return Asked(
        targets=targets(vms),
        target_of=np.repeat(np.arange(vms, dtype=np.int32), connections),
        kinds=CLASSES,
        groups=("static",),
        kind_shares=CLASS_SHARES,
        bound=bound or Bound.rate(320_000),
    )
