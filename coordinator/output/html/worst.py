"""The worst target of a run in sentences: which, when, and what its numbers say of why."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from coordinator.output.html.numbers import text
from coordinator.output.html.over_time import Scene
from loadgen.verdict.http_result import HttpRow
from loadgen.verdict.result import TargetResult

if TYPE_CHECKING:
    from loadgen.verdict.time_shares import TimeShares

Row = TargetResult | HttpRow

_EXCESS = 0.02
"""A part of the time that is larger than that of the median target by less is not told."""

_CONTRAST = 2.0
"""A moment stands out when it is so many times as bad as the median moment."""

_FIFTHS = 5
_TREND = 2.0
"""A time that rises or falls steadily by so much is a trend."""

_EVEN = 0.1
"""Each fifth of the time must have this part of a trend: what comes all at once is a moment.  The last fifth may fall
back by as much, because what is cut at the end has waited for less time than what was answered last.
"""

_LOST = {
    "failed": "in failed operations",
    "rest": "in rests after errors",
    "service": "waiting for the server",
    "unfinished": "in operations that were cut at the end",
    "lateness": "late, because of the load generator",
    "absent": "without any operation",
}


def worst_sentences(rows: Sequence[Row], name: str, scene: Scene | None, word: str, *, invalid: bool) -> list[str]:
    """Which target was the worst one, when, and why, as far as the record tells."""
    row = next((one for one in rows if one.name == name), rows[0])
    said = [_which(row, rows, scene, word)]
    if invalid:
        said.insert(0, "The checks of the run failed, so this says nothing about the servers. It is evidence.")
    if scene is not None:
        said.append(_when(row.name, scene))
    said += _why(row, rows, word)
    return said


def _which(row: Row, rows: Sequence[Row], scene: Scene | None, word: str) -> str:
    errors = sum(row.errors.values())
    p99 = row.response_ms.p99
    others = [one.response_ms.p99.low for one in rows if one is not row and one.response_ms.p99 is not None]
    is_spec = isinstance(row, TargetResult)
    parts = []
    if isinstance(row, TargetResult) and row.conforming is not None:
        parts.append(f"{row.conforming:,} of {row.requested:,} connections conform")
    parts.append(f"{errors:,} failed operation{'s' * (errors != 1)}")
    if p99 is not None:
        compared = f" (median of the other {word}s: {text(statistics.median(others))} ms)" if others else ""
        least = "at least " if p99.high is None or p99.high > p99.low else ""
        parts.append(f"the 99th percentile of its response time is {least}{text(p99.low)} ms{compared}")
    said = f"{_place(row, rows, scene, word)}: {'; '.join(parts)}{' (in the median iteration)' * is_spec}."
    failed = 0 if scene is None else int(scene.timeline.failed_in_windows[list(scene.names).index(row.name)])
    if is_spec and failed > errors:
        said += f" In all measured windows, {failed:,} of its operations failed."
    return said


def _place(row: Row, rows: Sequence[Row], scene: Scene | None, word: str) -> str:
    """How it stands among the others."""
    if len(rows) == 1:
        return f"{row.name} is the only {word}"
    if all(map(_is_fine, rows)) and (scene is None or not scene.timeline.failed_in_windows.any()):
        where = "in a measured window" if scene else "in the median iteration"
        return f"No {word} failed{f' {where}' * isinstance(row, TargetResult)}; the slowest is {row.name}"
    return f"{row.name} is the worst {word}"


def _is_fine(row: Row) -> bool:
    short = isinstance(row, TargetResult) and row.conforming is not None and row.conforming < row.requested
    return not any(row.errors.values()) and not short and not row.dead


def _when(name: str, scene: Scene) -> str:
    """The span of time in a measured window in which the target was worst, by failures, then by slowness."""
    line, at = scene.timeline, list(scene.names).index(name)
    judged = line.measured if line.measured.any() else np.ones_like(line.measured)
    failed = np.where(judged, line.failed[at], 0).astype(np.float64)
    p99 = np.where(judged, line.p99_ms[at], np.nan)
    known = p99[~np.isnan(p99)]
    trend = _trend(known)
    if failed.any():
        said = _when_failed(failed, scene)
        return f"{said} Its 99th percentile {trend}." if trend else said
    if not len(known):
        return "When: nothing was answered at any time."
    if trend:
        return f"When: no single moment, but a trend; its 99th percentile {trend}."
    middle, highest = float(np.median(known)), float(known.max())
    if highest < _CONTRAST * middle:
        return f"When: no moment stands out; its 99th percentile is {text(float(known.min()))} to {text(highest)} ms."
    first, last = _around(np.nan_to_num(p99), (middle + highest) / 2)
    return (
        f"When: it was slowest {_span(first, last, scene)}, with a 99th percentile of {text(highest)} ms; "
        f"in half of the time it is below {text(middle)} ms{_overlap(first, last, scene)}."
    )


def _trend(known: NDArray[np.float64]) -> str:
    """From where to where a time moved steadily, as over a queue that grows; "" without a trend."""
    if len(known) < _FIFTHS:
        return ""
    fifths = np.array([float(np.median(part)) for part in np.array_split(known, _FIFTHS)])
    whole = float(fifths[-1] - fifths[0])
    low, high = min(fifths[0], fifths[-1]), max(fifths[0], fifths[-1])
    if high < _TREND * low or not whole:
        return ""
    *steps, last_step = np.diff(fifths) / whole
    if min(steps) < _EVEN or last_step < -_EVEN:
        return ""
    verb = "rose" if whole > 0 else "fell"
    first, last = (text(float(fifths[at])) for at in (0, -1))
    return f"{verb} steadily, from {first} ms in the first fifth of the time to {last} ms in the last"


def _when_failed(failed: NDArray[np.float64], scene: Scene) -> str:
    """Where most failures are; if they are nowhere, where the most are."""
    total = int(failed.sum())
    first, last = _around(failed, failed.max() / 2)
    number = int(failed[first : last + 1].sum())
    if 2 * number > total:
        return (
            f"When: most of its failures were {_span(first, last, scene)}, {number:,} of {total:,}"
            f"{_overlap(first, last, scene)}."
        )
    top = int(np.argmax(failed))
    return (
        f"When: its failures are spread over the run; the most at once were {_span(top, top, scene)}, "
        f"{int(failed[top]):,} of {total:,}{_overlap(top, top, scene)}."
    )


def _around(values: NDArray[np.float64], least: float) -> tuple[int, int]:
    """The columns around the highest value in which all values are at least `least`."""
    first = last = int(np.argmax(values))
    while first > 0 and values[first - 1] >= least:
        first -= 1
    while last + 1 < len(values) and values[last + 1] >= least:
        last += 1
    return first, last


def _span(first: int, last: int, scene: Scene) -> str:
    begin, end = scene.timeline.span_of(first, last)
    return f"at {begin} to {end} s of the run"


def _overlap(first: int, last: int, scene: Scene) -> str:
    """Whether a load machine was disturbed then."""
    begin, end = scene.timeline.span_of(first, last)
    spans = () if scene.disturbance is None else scene.disturbance.spans
    met = [one for one in spans if one.first_s < end and one.last_s >= begin]
    if not met:
        return "" if scene.disturbance is None else "; no load machine was disturbed then"
    one = met[0]
    return f"; load machine {one.machine} was disturbed at {one.first_s} to {one.last_s + 1} s ({one.cause.what})"


def _why(row: Row, rows: Sequence[Row], word: str) -> Iterator[str]:
    where = " in the median iteration" if isinstance(row, TargetResult) else ""
    if row.errors:
        most = sorted(row.errors.items(), key=lambda one: -one[1])[:4]
        yield (
            f"Why: its failures{where} are "
            + ", ".join(f"{name.lower().replace('_', ' ')} ({n:,})" for name, n in most)
            + "."
        )
    if row.time is not None:
        yield from _lost(row.time, [one.time for one in rows if one is not row and one.time is not None], word)
    counters = row.counters if isinstance(row, TargetResult) else None
    if counters is not None:
        held = "; ".join(one.phrase for one in counters.held)
        yield (
            f"What the kernel counted for it: {held}."
            if held
            else "The kernel's counters of the VM show nothing that held it."
        )
    if row.dead:
        yield f"It is dead: next to nothing was answered while operations were begun on this {word}."


def _lost(time: TimeShares, others: Sequence[TimeShares], word: str) -> Iterator[str]:
    """The parts of its time that are larger than those of the median target."""
    found = []
    for name, words in _LOST.items():
        own = getattr(time, name)
        usual = statistics.median(getattr(one, name) for one in others) if others else 0.0
        if own - usual >= _EXCESS:
            beside = f" (median of the other {word}s: {usual:.1%})" if others else ""
            found.append((own - usual, f"{own:.1%} {words}{beside}"))
    if found:
        found.sort(reverse=True)
        yield f"Of its connections' time, it spent {', '.join(words for _, words in found[:3])}."
    elif others:
        yield f"Its connections' time is spent as that of the other {word}s."
