"""From an engine's records to cells and tallies: once a second, in the engine's own process.

So it is written for cost: a few sorts of the whole array, and no Python work per operation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadgen.measure.cells import BAD, CUT, OK, Cell
from loadgen.measure.histogram import BUCKETS, EMPTY, TOP_NS, VALUE_BITS, Histogram, bucket_of
from loadgen.measure.record import RECORD_DTYPE
from loadgen.measure.tally import TALLY_DTYPE, empty_tallies
from loadgen.model.bound import Bound, BoundKind
from loadgen.model.outcome import OUTCOMES, Outcome
from loadgen.model.units import NS_PER_S

_STATE = np.array([BAD if o.is_error else CUT if o is Outcome.CUT else OK for o in Outcome])


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldContext:
    """What a record's numbers refer to.

    `kind` and `group` are the tape's columns by row; `target_of` is the target index by global
    connection; `line_bps` 0 means unpaced.
    """

    kind: NDArray[np.uint8]
    group: NDArray[np.uint8]
    kinds: int
    groups: int
    target_of: NDArray[np.int32]
    line_bps: int
    bound: Bound


def fold(
    records: NDArray[np.void], ctx: FoldContext, *, window: int, window_start_ns: int, window_end_ns: int
) -> tuple[dict[tuple[int, int], Cell], NDArray[np.void]]:
    """The cells and the tallies (TALLY_DTYPE) of `records` (RECORD_DTYPE), in any order.

    An operation belongs to `window` when it was due in it; otherwise to window -1.  `window` -1 puts all of them
    there.  In the tallies, it also belongs to the window when it took all of it: due before it, its line time
    not over at its end.  A connection is judged by such an operation, but throughput and mix are not: it moved only
    part of its bytes in the window, and only long ones can take it all.
    Line time is max(done - due, what the bytes take at the line's speed).
    """
    if not len(records):
        return {}, empty_tallies()
    # Each column by itself, in a row: what follows reads them several times, and a record is most of a cache line.
    taken = {name: np.ascontiguousarray(records[name]) for name in RECORD_DTYPE.names or ()}
    due, done, size = taken["due_ns"], taken["done_ns"], taken["bytes"]
    response = np.maximum(done - due, 0)
    busy = response
    if ctx.line_bps:
        busy = np.maximum(response, np.rint(size * (8 * NS_PER_S / ctx.line_bps)).astype(np.int64))
    due_inside = (due >= window_start_ns) & (due < window_end_ns) & (window >= 0)
    covers = (due < window_start_ns) & (due + busy >= window_end_ns) & (window >= 0)
    state = _STATE[taken["outcome"]]
    good, tolerable, overdue = _judge(response, size, state, ctx.bound)
    columns = _Columns(taken, ctx, due_inside, due_inside | covers, state, response, busy, good, tolerable, overdue)
    return columns.cells(window), columns.tallies(window)


def _judge(
    response: NDArray[np.int64], size: NDArray[np.int64], state: NDArray[np.int64], bound: Bound
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Which operations are good, tolerable, and overdue (cut when it was too late already)."""
    ok = state == OK
    good = ok & (response <= bound.good_ns + bound.good_ns_per_byte * size)
    tolerable = ok & (response <= bound.tolerable_ns + bound.tolerable_ns_per_byte * size)
    # A bound that grows with the size says nothing of a cut operation: its whole size isn't known here.
    if bound.kind is BoundKind.TIME and not bound.tolerable_ns_per_byte:
        return good, tolerable, (state == CUT) & (response > bound.tolerable_ns)
    return good, tolerable, np.zeros_like(ok)


@dataclass(frozen=True, slots=True)
class _Columns:
    records: Mapping[str, NDArray[Any]]
    ctx: FoldContext
    due_inside: NDArray[np.bool_]
    judged: NDArray[np.bool_]
    state: NDArray[np.int64]
    response: NDArray[np.int64]
    busy: NDArray[np.int64]
    good: NDArray[np.bool_]
    tolerable: NDArray[np.bool_]
    overdue: NDArray[np.bool_]

    def cells(self, window: int) -> dict[tuple[int, int], Cell]:
        """A cell for each (window, target) that has operations."""
        records, ctx, state = self.records, self.ctx, self.state
        # Keys are few and small, so counting finds those that occur faster than sorting would.
        key = ctx.target_of[records["connection"]] * 2 + self.due_inside
        keys = np.flatnonzero(np.bincount(key))
        n = len(keys)
        slot_of = np.zeros(keys[-1] + 1, dtype=np.int64)
        slot_of[keys] = np.arange(n)
        slot = slot_of[key]
        row = records["row"]
        place = ((slot * ctx.kinds + ctx.kind[row]) * ctx.groups + ctx.group[row]) * 3 + state
        counts = np.bincount(place, minlength=n * ctx.kinds * ctx.groups * 3).reshape(n, ctx.kinds, ctx.groups, 3)
        outcomes = np.bincount(slot * OUTCOMES + records["outcome"], minlength=n * OUTCOMES).reshape(n, OUTCOMES)

        def total(column: NDArray[Any]) -> list[int]:
            # The weights are float64: exact, for a second's bytes are far below 2^53.
            return np.bincount(slot, column, minlength=n).astype(np.int64).tolist()  # type: ignore[no-any-return]

        good, tolerable, overdue = total(self.good), total(self.tolerable), total(self.overdue)
        received, connects = total(records["bytes"]), total(records["connected"])
        ok, sent = state == OK, records["sent_ns"] > 0
        response = _histograms(slot[ok], self.response[ok], n)
        service = _histograms(slot[ok], (records["done_ns"] - records["sent_ns"])[ok], n)
        lateness = _histograms(slot[sent], (records["sent_ns"] - records["due_ns"])[sent], n)
        return {
            (window if key & 1 else -1, key >> 1): Cell(
                outcomes[at],
                counts[at],
                good[at],
                tolerable[at],
                overdue[at],
                received[at],
                connects[at],
                response[at],
                service[at],
                lateness[at],
            )
            for at, key in enumerate(keys.tolist())
        }

    def tallies(self, window: int) -> NDArray[np.void]:
        """A row for each (window, connection), in order."""
        keys = (self.judged.astype(np.int64) << 32) + self.records["connection"]
        order = np.argsort(keys, kind="stable")
        keys, state = keys[order], self.state[order]
        first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
        counted = state != BAD
        columns = {
            "ok": state == OK,
            "bad": ~counted,
            "cut": state == CUT,
            "overdue": self.overdue[order],
            "good": self.good[order],
            "tolerable": self.tolerable[order],
            "bytes": self.records["bytes"][order] * counted,
            "busy_ns": self.busy[order] * counted,
        }
        rows = np.zeros(len(first), dtype=TALLY_DTYPE)
        rows["window"] = np.where(keys[first] >> 32, window, -1)
        rows["connection"] = keys[first] & 0xFFFFFFFF
        for name, column in columns.items():
            rows[name] = np.add.reduceat(column, first, dtype=np.int64)
        return rows


def _histograms(slot: NDArray[np.int64], values_ns: NDArray[np.int64], slots: int) -> list[Histogram]:
    """One histogram a slot, as `Histogram.of` would make it, all with one sort."""
    result = [EMPTY] * slots
    if not len(slot):
        return result
    # Sorted by slot, then by value: a slot's ends are its extremes, and its buckets ascend.
    keys = np.sort((slot << VALUE_BITS) + np.clip(values_ns, 0, TOP_NS))
    values_ns = keys & TOP_NS
    buckets = (keys >> VALUE_BITS) * BUCKETS + bucket_of(values_ns)
    first = np.flatnonzero(np.concatenate([[True], buckets[1:] != buckets[:-1]]))
    counts = np.diff(first, append=len(keys))
    owner, index = np.divmod(buckets[first], BUCKETS)
    index = index.astype(np.int32)
    bounds = np.arange(slots + 1)
    ends = np.searchsorted(owner, bounds).tolist()
    edges = np.searchsorted(keys, bounds << VALUE_BITS)
    low = values_ns[np.minimum(edges[:-1], len(keys) - 1)].tolist()
    high = values_ns[edges[1:] - 1].tolist()
    for at in range(slots):
        start, end = ends[at], ends[at + 1]
        if start < end:
            result[at] = Histogram(index[start:end], counts[start:end], max_ns=high[at], min_ns=low[at])
    return result
