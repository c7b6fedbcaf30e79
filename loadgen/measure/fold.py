"""Folds an engine's records into cells and tallies, once per second, in the engine's own process.

Its cost adds to the engine's: it counts instead of sorting, and runs no Python code per operation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadgen.measure.cells import BAD, CUT, OK, Cell, CellTable
from loadgen.measure.codes import add_codes, count_codes
from loadgen.measure.grouped import histograms, numbered, total
from loadgen.measure.histogram import Histogram
from loadgen.measure.histograms import Histograms
from loadgen.measure.limits import CutRule, Limits, limits_of
from loadgen.measure.record import (
    CONNECTED,
    MORE_CONNECTS_SHIFT,
    MOST_MORE_CONNECTS,
    RECORD_DTYPE,
    RESTED,
    RETRIED,
    STATUS_SHIFT,
    SURPLUS,
)
from loadgen.measure.slot_time import PARTS
from loadgen.measure.tally import TALLY_DTYPE, empty_tallies, merge_tallies
from loadgen.model.bound import Bound
from loadgen.model.outcome import OUTCOMES, Outcome
from loadgen.model.units import NS_PER_S

try:
    from loadgen.measure import _fold
except ImportError:  # built without a C compiler
    _fold = None  # type: ignore[assignment]

IS_COMPILED = _fold is not None

_STATES = len((OK, BAD, CUT))
_SUMS, _TIMES, _BOUNDS = 8, 3, 4  # columns of CellTable.sums; rows of CellTable.times and of CellTable.bounds per cell
_FAR = 1 << 62  # beyond any time of CLOCK_MONOTONIC
_STATE = np.array([BAD if o.is_error else CUT if o is Outcome.CUT else OK for o in Outcome], np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldContext:
    """The tables that the numbers in a record refer to, and the bound that judges its times.

    `kind` and `group`: by row of the tape, with values below `kinds` and `groups`.  `target_of`: target index by global
    connection number.  `line_bps`: line speed of a connection; 0 means not paced.  `error_rest_ns`: the rest after an
    operation whose record has the flag RESTED.  `is_open`: whether operations of an open loop wait for a connection.
    `think_ns`: by row, the think time after a good operation of a paced loop; None for none.  `own_bounds`: those of
    the tape.
    """

    kind: NDArray[np.uint8]
    group: NDArray[np.uint8]
    kinds: int
    groups: int
    target_of: NDArray[np.int32]
    line_bps: int
    bound: Bound
    error_rest_ns: int = 0
    is_open: bool = False
    think_ns: NDArray[np.int64] | None = None
    own_bounds: tuple[Bound | None, ...] = ()

    @property
    def limits(self) -> Limits:
        """The limits of each kind."""
        return limits_of(self.bound, self.own_bounds, self.kinds)

    @property
    def is_unpaced(self) -> bool:
        """Whether this is a closed loop without pacing."""
        return not (self.line_bps or self.is_open)


def fold_with_numpy(
    records: NDArray[np.void], ctx: FoldContext, *, window: int, window_start_ns: int, window_end_ns: int
) -> tuple[CellTable, NDArray[np.void]]:
    """The cells and the tallies (TALLY_DTYPE) of `records` (RECORD_DTYPE, in any order).

    An operation that was due in [`window_start_ns`, `window_end_ns`) belongs to `window`, any other to window -1.  With
    `window` -1, all operations belong to window -1.  In the tallies, an operation also belongs to the window if it
    reaches into it: due before its start, with a line time (the larger of done - due and the time of its bytes at line
    speed), or a think time after that, which ends after its start.  In the cells, such an operation belongs to the
    window only in a closed loop without pacing: with its whole times, and with the part of its bytes that lies in the
    window.

    The tallies of the window hold the part of the line time that lies in the window, and the same part of the bytes:
    no stall across an end of the window may be missed, and none outside of it counted.  They hold the parts of its
    time in the same way (loadgen.measure.slot_time).  If only a rest reaches into the
    window, a row has nothing but the rest.
    Raises IndexError if the row, connection or outcome of a record is out of range.
    """
    if not len(records):
        return CellTable.of({}), empty_tallies()
    # Contiguous columns: each is read several times below, and a record fills most of a cache line.
    taken = {name: np.ascontiguousarray(records[name]) for name in RECORD_DTYPE.names or ()}
    due, done, size = taken["due_ns"], taken["done_ns"], taken["bytes"]
    response = np.maximum(done - due, 0)
    busy = response
    if ctx.line_bps:
        busy = np.maximum(response, (size * (8 * NS_PER_S / ctx.line_bps) + 0.5).astype(np.int64))
    state = _STATE[taken["outcome"]].astype(np.int64)
    span = busy if ctx.think_ns is None else busy + ctx.think_ns[taken["row"]] * (state == OK)
    due_inside = (due >= window_start_ns) & (due < window_end_ns) & (window >= 0)
    reaches = (due < window_start_ns) & (due + span > window_start_ns) & (window >= 0)
    judged = due_inside | reaches
    parts = _parts(taken, ctx, state, due + span, judged, window_start_ns, window_end_ns)
    bounds = _judge(response, size, state, ctx.limits, ctx.kind[taken["row"]])
    busy, size = _inside(due, busy, size, judged, window_start_ns, window_end_ns)
    joins = reaches & ctx.is_unpaced
    received = np.where(joins, size, taken["bytes"])
    columns = _Columns(taken, ctx, due_inside | joins, judged, state, response, busy, size, received, parts, bounds)
    tallies = columns.tallies(window)
    if window >= 0:
        rests = _rests_into(records[~judged], ctx, window, window_start_ns, window_end_ns)
        tallies = merge_tallies([tallies, rests]) if len(rests) else tallies
    return CellTable.of(columns.cells(window)), tallies


def fold_compiled(
    records: NDArray[np.void], ctx: FoldContext, *, window: int, window_start_ns: int, window_end_ns: int
) -> tuple[CellTable, NDArray[np.void]]:
    """Like :func:`fold_with_numpy`, at a sixth to a fourth of the cost: each record is read once per step, in C."""
    if not len(records):
        return CellTable.of({}), empty_tallies()
    limits, size = ctx.limits, len(records)
    rules = _fold.Rules(
        ctx.kind,
        ctx.group,
        _STATE,
        ctx.target_of,
        (window_start_ns, window_end_ns) if window >= 0 else None,
        limits,
        ctx.think_ns,
        kinds=ctx.kinds,
        groups=ctx.groups,
        line_ns_per_byte=8 * NS_PER_S / ctx.line_bps if ctx.line_bps else 0.0,
        error_rest_ns=ctx.error_rest_ns,
        is_open=ctx.is_open,
        is_unpaced=ctx.is_unpaced,
    )
    cell_places, tally_places = np.empty(size, np.int64), np.empty(size, np.int64)
    rests_reach = rules.places(records, cell_places, tally_places)
    cell_keys, cells = numbered(cell_places)
    tally_keys, rows = numbered(tally_places)
    n = len(cell_keys)
    outcomes, sums = np.zeros((n, OUTCOMES), np.int64), np.zeros((n, _SUMS), np.int64)
    counts = np.zeros((n, ctx.kinds, ctx.groups, _STATES), np.int64)
    tallies = np.zeros(len(tally_keys), TALLY_DTYPE)
    judged, tallies["connection"] = np.divmod(tally_keys, len(ctx.target_of))
    tallies["window"] = np.where(judged, window, -1)
    usual, times_usual, others = np.zeros(n, np.int64), np.zeros(n, np.int64), np.empty(size, np.int64)
    unusual = rules.count(records, cells, outcomes, counts, sums, rows, tallies, usual, times_usual, others)
    if rests_reach:
        outside = records[tally_places < len(ctx.target_of)]
        tallies = merge_tallies([tallies, _rests_into(outside, ctx, window, window_start_ns, window_end_ns)])
    starts = np.zeros(_TIMES * n + 1, np.int64)
    buckets, entries = np.empty(_TIMES * size, np.int32), np.empty(_TIMES * size, np.int64)
    max_ns, min_ns = np.empty(_TIMES * n, np.int64), np.empty(_TIMES * n, np.int64)
    found = rules.times(records, cells, starts, buckets, entries, max_ns, min_ns)
    # Copied, so that the interval does not keep the oversized buffers alive.
    times = Histograms(starts, buckets[:found].copy(), entries[:found].copy(), max_ns, min_ns)
    slots = np.where(cell_keys & 1, window + 1, 0)
    bounds = Histograms.nothing(_BOUNDS * n)
    if outcomes[:, Outcome.OK].sum() < size:
        ended = np.flatnonzero(records["outcome"] != Outcome.OK)
        # Column by column: numpy copies rows with fields at ten times the cost.
        taken = {name: records[name][ended] for name in ("due_ns", "sent_ns", "done_ns", "outcome")}
        bounds = Histograms.of(_lower_bounds(taken, cells[ended], n))
    statuses = add_codes(usual, times_usual, others[:unusual], n)
    return CellTable(slots, cell_keys >> 1, outcomes, counts, sums, times, bounds, statuses), tallies


fold = fold_compiled if IS_COMPILED else fold_with_numpy


@dataclass(frozen=True, slots=True)
class _Judged:
    """Which operations are good and tolerable, and which of the cut ones are overdue: not tolerable any more.

    `counted`: the cut ones that are judged, and so count as requests of their connections; `kept` and `held`: those of
    them whose rate so far is good, and tolerable.
    """

    good: NDArray[np.bool_]
    tolerable: NDArray[np.bool_]
    overdue: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    kept: NDArray[np.bool_]
    held: NDArray[np.bool_]


def _judge(
    response: NDArray[np.int64],
    size: NDArray[np.int64],
    state: NDArray[np.int64],
    limits: Limits,
    kind: NDArray[np.uint8],
) -> _Judged:
    ok, rule = state == OK, np.where(state == CUT, limits.cut[kind], CutRule.NOT)
    for_good = limits.good_ns[kind] + limits.good_ns_per_byte[kind] * size
    for_tolerable = limits.tolerable_ns[kind] + limits.tolerable_ns_per_byte[kind] * size
    so_far, late = rule == CutRule.SO_FAR, (rule == CutRule.FIXED) & (response > for_tolerable)
    held = so_far & (response <= for_tolerable + limits.spare_tolerable_ns)
    return _Judged(
        good=ok & (response <= for_good),
        tolerable=ok & (response <= for_tolerable),
        overdue=late | (so_far & ~held),
        counted=late | so_far,
        kept=so_far & (response <= for_good + limits.spare_good_ns),
        held=held,
    )


def _inside(
    due: NDArray[np.int64],
    busy: NDArray[np.int64],
    size: NDArray[np.int64],
    judged: NDArray[np.bool_],
    start_ns: int,
    end_ns: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The line time and the bytes of each operation, those of the judged ones as far as they lie in the window."""
    part = np.maximum(np.minimum(due + busy, end_ns) - np.maximum(due, start_ns), 0)  # 0: only its think time is inside
    at = np.flatnonzero(judged & (part != busy))
    if not len(at):
        return busy, size
    inside, received = busy.copy(), size.copy()
    inside[at] = part[at]
    received[at] = np.rint(size[at] * part[at].astype(np.float64) / busy[at]).astype(np.int64)
    return inside, received


def _parts(
    records: Mapping[str, NDArray[Any]],
    ctx: FoldContext,
    state: NDArray[np.int64],
    end: NDArray[np.int64],
    judged: NDArray[np.bool_],
    start_ns: int,
    end_ns: int,
) -> dict[str, NDArray[np.int64]]:
    """Where the time of each operation went, by part; `end` is that of its line time or think time.  See slot_time."""
    due, begun = records["due_ns"], np.abs(records["sent_ns"])
    done = np.maximum(records["done_ns"], due)
    sent = np.clip(begun, due, done)
    if ctx.is_open:
        sent, done = begun, np.maximum(records["done_ns"], begun)
        due = sent
        end = done = np.where(begun > 0, done, 0)
    low = np.where(judged, start_ns, -_FAR)
    high = np.where(judged, end_ns, _FAR)

    def inside(first: NDArray[np.int64], last: NDArray[np.int64], which: NDArray[np.bool_] | bool) -> NDArray[np.int64]:
        lasted: NDArray[np.int64] = np.maximum(np.minimum(last, high) - np.maximum(first, low), 0) * which
        return lasted

    rested = (records["flags"] & RESTED) != 0
    if ctx.is_open:
        rested = rested & (begun > 0)
    return {
        "service_ns": inside(sent, done, state == OK),
        "pacing_ns": inside(done, end, state != BAD),
        "lateness_ns": inside(due, sent, True),
        "rest_ns": inside(done, done + ctx.error_rest_ns, rested),
        "failed_ns": inside(sent, done, state == BAD),
        "unfinished_ns": inside(sent, done, state == CUT),
    }


def _rests_into(
    records: NDArray[np.void], ctx: FoldContext, window: int, start_ns: int, end_ns: int
) -> NDArray[np.void]:
    """One row for each connection that rests at the start of the window, from `records` that do not count for it."""
    rested = (records["flags"] & RESTED) != 0
    if ctx.is_open:
        rested &= records["sent_ns"] != 0
    before = records[rested & (records["due_ns"] < start_ns)]
    done = np.maximum(before["done_ns"], np.abs(before["sent_ns"]) if ctx.is_open else before["due_ns"])
    rests = np.minimum(done + ctx.error_rest_ns, end_ns) - np.maximum(done, start_ns)
    at = np.flatnonzero(rests > 0)
    rows = np.zeros(len(at), TALLY_DTYPE)
    rows["window"], rows["connection"], rows["rest_ns"] = window, before["connection"][at], rests[at]
    return merge_tallies([rows])


@dataclass(frozen=True, slots=True)
class _Columns:
    """`belongs`: to the window in cells, with `received`; `judged`: in tallies, with `busy`, `size` and `parts`."""

    records: Mapping[str, NDArray[Any]]
    ctx: FoldContext
    belongs: NDArray[np.bool_]
    judged: NDArray[np.bool_]
    state: NDArray[np.int64]
    response: NDArray[np.int64]
    busy: NDArray[np.int64]
    size: NDArray[np.int64]
    received: NDArray[np.int64]
    parts: Mapping[str, NDArray[np.int64]]
    bounds: _Judged

    def cells(self, window: int) -> dict[tuple[int, int], Cell]:
        """One cell per (window, target) that has operations."""
        records, ctx, state = self.records, self.ctx, self.state
        keys, slot = numbered(ctx.target_of[records["connection"]] * 2 + self.belongs)
        n = len(keys)
        row = records["row"]
        place = ((slot * ctx.kinds + ctx.kind[row]) * ctx.groups + ctx.group[row]) * _STATES + state
        counts = np.bincount(place, minlength=n * ctx.kinds * ctx.groups * _STATES)
        counts = counts.reshape(n, ctx.kinds, ctx.groups, _STATES)
        outcomes = np.bincount(slot * OUTCOMES + records["outcome"], minlength=n * OUTCOMES).reshape(n, OUTCOMES)

        ok, sent = state == OK, records["sent_ns"] > 0
        flags = records["flags"]
        statuses = count_codes(slot, (flags >> STATUS_SHIFT).astype(np.int64), n)
        good, tolerable, overdue, received, connects, retries, rests, surplus = (
            total(slot, column, n).tolist()
            for column in (
                self.bounds.good,
                self.bounds.tolerable,
                self.bounds.overdue,
                self.received,
                (flags & CONNECTED) + (flags >> MORE_CONNECTS_SHIFT & MOST_MORE_CONNECTS),
                (flags & RETRIED) != 0,
                (flags & RESTED) != 0,
                (flags & SURPLUS) != 0,
            )
        )
        response = histograms(slot[ok], self.response[ok], n)
        service = histograms(slot[ok], (records["done_ns"] - records["sent_ns"])[ok], n)
        lateness = histograms(slot[sent], (records["sent_ns"] - records["due_ns"])[sent], n)
        bounds = _lower_bounds({name: column[~ok] for name, column in records.items()}, slot[~ok], n)
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
                response_failed=bounds[_BOUNDS * at],
                response_cut=bounds[_BOUNDS * at + 1],
                service_failed=bounds[_BOUNDS * at + 2],
                service_cut=bounds[_BOUNDS * at + 3],
                retries=retries[at],
                rest_ns=rests[at] * ctx.error_rest_ns,
                surplus=surplus[at],
                statuses=statuses[at],
            )
            for at, key in enumerate(keys.tolist())
        }

    def tallies(self, window: int) -> NDArray[np.void]:
        """One row per (window, connection) that has operations, in that order."""
        connection, state = self.records["connection"], self.state
        width = int(connection.max()) + 1
        keys, slot = numbered(self.judged * width + connection)
        n = len(keys)
        counted = state != BAD
        states = np.bincount(slot * _STATES + state, minlength=n * _STATES).reshape(n, _STATES)
        rows = np.zeros(n, dtype=TALLY_DTYPE)
        rows["window"] = np.where(keys >= width, window, -1)
        rows["connection"] = keys % width
        for name, at in (("ok", OK), ("bad", BAD), ("cut", CUT)):
            rows[name] = states[:, at]
        found = self.bounds
        good, tolerable = found.good | found.kept, found.tolerable | found.held
        for name, column in (("overdue", found.counted), ("good", good), ("tolerable", tolerable)):
            rows[name] = total(slot, column, n)
        rows["bytes"] = total(slot, self.size * counted, n)
        rows["busy_ns"] = total(slot, self.busy * counted, n)
        for name in PARTS:
            rows[name] = total(slot, self.parts[name], n)
        return rows


def _lower_bounds(ended: Mapping[str, NDArray[Any]], slot: NDArray[np.int64], slots: int) -> list[Histogram]:
    """The rows of CellTable.bounds for failed and cut operations; `slot` is the cell of each."""
    due, sent, done = (ended[name] for name in ("due_ns", "sent_ns", "done_ns"))
    row = _BOUNDS * slot + (ended["outcome"] == Outcome.CUT)
    was_sent = sent > 0
    return histograms(
        np.concatenate([row, row[was_sent] + 2]),
        np.concatenate([done - due, (done - sent)[was_sent]]),
        _BOUNDS * slots,
    )
