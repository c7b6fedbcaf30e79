"""Compiles the workload: one circular tape of requests, and the place on it where each connection starts.

An operation lasts as long as its bytes take at line speed, and then its think time.  So the tape is a circle in time,
on which the connections start evenly spaced, inside of operations.

Many operations are longer than a window: a download takes up to six minutes.  A connection that is inside of such an
operation for the whole window must be busy with it, or the servers would have less to do than asked for.  So it begins
the operation anew when it starts.  These operations are of the group "under way".  They are not part of the mix, which
they would distort: the longer an operation is, the more connections are inside of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadgen.model.bound import Bound, BoundKind
from loadgen.model.plan import SpecPlan
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.schedule.optape import CHECK_DTYPE, CLOSE_AFTER, KEEP_ALIVE, OP_DTYPE, START_DTYPE, OpTape, StringsBuilder
from workloads import site
from workloads.circle import start_inside
from workloads.content import header_line
from workloads.deal import SESSIONS, deal_sessions
from workloads.support import chain, downloads, facts, pages

GROUPS = ("page", "download", "under way")
PAGE, DOWNLOAD, UNDER_WAY = range(len(GROUPS))

MAX_ROWS = 50_000
"""The greatest number of rows; one connection needs five days for them."""
_LEAST_ROWS = 1_000  # 68 sessions: with fewer, the downloads are too few to have their sizes in the right shares

_LONG_NS = 1_500 * NS_PER_S
"""From this length of tape on, passed by all connections in a window, no download takes more than a fourth of it."""

_HEAD_BYTES = 230  # head of a common server's reply; only the places where connections start depend on it
_SIZES = np.array([downloads.SIZES[file] for file in downloads.FILES], np.int64)
_KEY = 0x05_0020


@dataclass(frozen=True, slots=True)
class _Draws:
    """The request of each row: arrays of equal length.

    `item`: the number of a page, or the directory of a download; `file`: the file of a download.  `span_ns`: the time
    that the line needs for the reply, and the think time.
    """

    kind: NDArray[np.int64]
    item: NDArray[np.int64]
    file: NDArray[np.int64]
    think_ms: NDArray[np.int64]
    span_ns: NDArray[np.int64]
    keep_alive: NDArray[np.bool_]
    last: NDArray[np.bool_]


def compile_tape(plan: SpecPlan, sessions: int) -> OpTape:
    """The tape of a plan whose largest server has so many sessions; it does not depend on the number of engines."""
    rng = np.random.default_rng((_KEY, plan.seed % 2**64))
    draws = _draw(_rows_of(plan), plan.line_bps, downloads.directories(sessions), rng)
    strings = StringsBuilder()
    ring, checks = _put(draws, strings)
    starts, under_way = _starts(plan, draws.span_ns, rng)
    again = ring[under_way]
    again["group"] = UNDER_WAY
    return OpTape(
        ops=np.concatenate([ring, again]),
        checks=checks,
        strings=strings.build(),
        starts=starts,
        kinds=facts.KINDS,
        groups=GROUPS,
        kind_shares=chain.SHARES,
        own_bounds=own_bounds(plan),
    )


def own_bounds(plan: SpecPlan) -> tuple[Bound | None, ...]:
    """The bounds of the kinds: downloads are judged by their rate, unless the plan judges connections by theirs.

    The rates are shares of the line: 99,000 and 95,000 B/s at SPECweb2005's 100,000 B/s.
    """
    if plan.bound.kind is BoundKind.RATE:
        return ()
    line = plan.line_bps / 8
    rates = Bound.rates(facts.GOOD_RATE * line, facts.TOLERABLE_RATE * line)
    return (*[None] * facts.DOWNLOAD, rates)


def connects_per_s(line_bps: int) -> float:
    """The TCP connections that a connection opens per second."""
    return SESSIONS.per_operation * NS_PER_S / mean_span_ns(line_bps)


def mean_span_ns(line_bps: int) -> float:
    """The mean time from an operation to the next on ideal servers: line time and think time."""
    sizes = [*facts.PAGE_BYTES, float((chain.file_shares() * _SIZES).sum())]
    mean_bytes = float(np.dot(chain.SHARES, sizes)) + _HEAD_BYTES
    return 8 * NS_PER_S * mean_bytes / line_bps + facts.THINK_SHARE * facts.THINK_MEAN_S * NS_PER_S


def _rows_of(plan: SpecPlan) -> int:
    passed_ns = plan.total_connections * plan.phases.measure_ns * plan.phases.iterations
    return min(MAX_ROWS, max(_LEAST_ROWS, math.ceil(passed_ns / mean_span_ns(plan.line_bps))))


def _draw(least: int, line_bps: int, directories: int, rng: np.random.Generator) -> _Draws:
    kind = chain.deal_states(least, rng)
    rows, is_download = len(kind), kind == facts.DOWNLOAD
    item = rng.integers(facts.PAGES, size=rows)
    file = np.zeros(rows, np.int64)
    count = int(is_download.sum())
    file[is_download] = chain.deal_files(count, rng)
    item[is_download] = chain.draw_directories(count, directories, rng)
    think_ms = chain.deal_thinks_ms(kind, rng)
    keep_alive, last = deal_sessions(rows, rng)
    reply_bytes = np.where(is_download, _SIZES[file], np.array([*facts.PAGE_BYTES, 0])[kind]) + _HEAD_BYTES
    line_ns = reply_bytes * 8 * NS_PER_S // line_bps
    return _Draws(kind, item, file, think_ms, line_ns + think_ms * NS_PER_MS, keep_alive, last)


def _put(draws: _Draws, strings: StringsBuilder) -> tuple[NDArray[np.void], NDArray[np.void]]:
    """The operations of the circle, and the checks of their replies."""
    ops = np.zeros(len(draws.kind), OP_DTYPE)
    ops["next"] = np.roll(np.arange(len(ops)), -1)
    ops["status"] = 200
    ops["kind"] = draws.kind
    ops["group"] = np.where(draws.kind == facts.DOWNLOAD, DOWNLOAD, PAGE)
    ops["flags"] = draws.keep_alive * KEEP_ALIVE + draws.last * CLOSE_AFTER
    ops["think_ms"] = draws.think_ms
    rests = [strings.add(f"User-Agent: loadgen\r\n{close}\r\n".encode()) for close in ("", "Connection: close\r\n")]
    ops["rest"] = np.array(rests)[draws.last.astype(np.int64)]
    keys, first, ops["check"] = np.unique(
        np.stack([draws.kind, draws.item, draws.file]), axis=1, return_index=True, return_inverse=True
    )
    lines = np.zeros(len(first), np.int64)
    checks = np.zeros(len(first), CHECK_DTYPE)
    checks["literal_at"] = -1
    for at, (kind, item, file) in enumerate(keys.T.tolist()):
        if kind == facts.DOWNLOAD:
            name = downloads.name(item, downloads.FILES[file])
            path, size, stride_bytes = f"/{name}", int(_SIZES[file]), downloads.STRIDE_BYTES
        else:
            name, path = pages.SITE.name(kind, item), pages.SITE.path(kind, item)
            size, stride_bytes = facts.PAGE_BYTES[kind], site.STRIDE_BYTES
            checks["anchor"][at], checks["suffix"][at] = strings.add(site.ANCHOR), strings.add(site.SUFFIX)
        lines[at] = strings.add(f"GET {path} HTTP/1.1\r\n".encode())
        checks["content_bytes"][at], checks["stride_bytes"][at] = size, stride_bytes
        checks["prefix"][at] = strings.add(header_line(size, name))
        checks["period"][at] = strings.add(name.encode())
    ops["line"] = lines[ops["check"]]
    return ops, checks


def _starts(
    plan: SpecPlan, span_ns: NDArray[np.int64], rng: np.random.Generator
) -> tuple[NDArray[np.void], NDArray[np.int64]]:
    """Where connections start, shape (iterations, connections), and the rows that are begun anew.

    Row i of the latter follows as row `len(span_ns) + i` of the tape.
    """
    found = start_inside(plan, span_ns, _LONG_NS, rng)
    starts = np.zeros(found.anew.shape, START_DTYPE)
    starts["row"], starts["delay_ns"] = found.operation, found.delay_ns
    under_way, place = np.unique(found.operation[found.anew], return_inverse=True)
    starts["row"][found.anew] = len(span_ns) + place
    return starts, under_way.astype(np.int64)
