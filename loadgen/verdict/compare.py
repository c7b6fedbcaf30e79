"""Compares groups of runs: is one better or worse than the first one, and by how much?

Groups that were played one after the other are compared by the ranks of their runs, which need no assumption about how
runs vary.  Groups that were played in turns are compared round by round, as `loadgen relative` does: what changes
slowly on the machine changes both runs of a round, and leaves their ratio as it is.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from loadgen.model.relative import Better
from loadgen.model.units import counted
from loadgen.verdict.compare_result import CompareRow, Comparison, Limit, Side, Unlike
from loadgen.verdict.ranks import Interval, Ratio, ratio_of
from loadgen.verdict.relative_result import Difference
from loadgen.verdict.repeats import OneOfMany, RepeatsRow, left_out, rows_of, said_of, verdict_of
from loadgen.verdict.result import Verdict
from loadgen.verdict.student import mean_ratio

CONFIDENCE = 0.99
"""That of each interval: of 100 intervals of a number that does not differ, one shows a difference by chance."""

FEWEST = 5
"""Of fewer runs on each side, not even the lowest and the highest ratio hold the true one with CONFIDENCE."""

FEWEST_ROUNDS = 3
"""Of fewer rounds, an interval says next to nothing."""


SAME = "machine and software are the same in all runs, as far as records have them"
"""The note on runs whose environments do not differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Runs that are compared as one; with rounds, the runs of all groups have the same place in their round."""

    name: str
    runs: tuple[OneOfMany, ...]
    record: str = ""


def compare(
    groups: Sequence[Group],
    *,
    in_rounds: bool = False,
    limits: Sequence[Limit] = (),
    plans: Sequence[Unlike] = (),
    environments: Sequence[Unlike] | None = None,
    interrupted: bool = False,
) -> Comparison:
    """The result of at least one group; with `in_rounds`, runs at the same place belong to the same round.

    `environments`: None when it is not known what differs in them.
    """
    found = [_Numbers(group) for group in groups]
    names = list(dict.fromkeys(name for numbers in found for name in numbers.rows))
    rows = [row for name in names for row in _rows(found, name, limits, in_rounds=in_rounds)]
    verdict = _verdict(groups, interrupted=interrupted)
    if verdict in (Verdict.INVALID, Verdict.DEGRADED):
        rows = []
    if verdict is Verdict.CONFORMING:
        verdict = _judged(groups, rows, limits, in_rounds=in_rounds)
    return Comparison(
        verdict=verdict,
        reasons=(*_said(found, rows, limits, in_rounds=in_rounds), *_left_out(found)),
        notes=(*_notes(found, rows, in_rounds=in_rounds), *[SAME] * (environments is not None and not environments)),
        sides=tuple(
            Side(name=one.name, record=one.record, runs=len(one.runs), valid=sum(run.counts for run in one.runs))
            for one in groups
        ),
        rows=tuple(rows),
        in_rounds=in_rounds,
        plans=tuple(plans),
        environments=tuple(environments or ()),
    )


class _Numbers:
    """The numbers of a group."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.name = group.name
        self.rows: dict[str, RepeatsRow] = {row.name: row for row in rows_of(group.runs)}

    def values(self, name: str) -> tuple[float, ...]:
        """The values of a number; all 0 in a group in which it is never anything else."""
        if name in self.rows:
            return self.rows[name].sample.values
        return tuple(value for run in self.group.runs for value in _values(run, name))

    def bounds(self, name: str) -> int:
        """How many values of a number are only lower bounds."""
        return self.rows[name].at_least if name in self.rows else 0

    def by_round(self, name: str) -> dict[int, float]:
        """The mean of the values of each run that counts, by its place."""
        found = ((place, _values(run, name)) for place, run in enumerate(self.group.runs))
        return {place: statistics.fmean(values) for place, values in found if values}


def _values(run: OneOfMany, name: str) -> tuple[float, ...]:
    found = (figure.values for figure in run.figures if run.counts and figure.name == name)
    return next(found, ())


def _rows(found: Sequence[_Numbers], name: str, limits: Sequence[Limit], *, in_rounds: bool) -> Iterator[CompareRow]:
    known = next(one.rows[name] for one in found if name in one.rows)
    first = found[0]
    for one in found:
        values = one.values(name)
        if not values:
            continue
        ratio = None
        if one is not first and (base := first.values(name)):
            ratio = _ratio(one, first, name) if in_rounds else ratio_of(values, base, CONFIDENCE)
        interval = ratio.interval if ratio else None
        bounds = one.bounds(name)
        claims = _Claims(
            better=known.better,
            interval=interval,
            own_at_least=bounds > 0,
            base_at_least=first.bounds(name) > 0,
        )
        yield CompareRow(
            name=name,
            unit=known.unit,
            better=known.better,
            side=one.name,
            values=values,
            median=statistics.median(values),
            difference=Difference.FIRST if one is first else claims.difference,
            ratio=ratio.value if ratio else None,
            ratio_low=interval.low if interval else None,
            ratio_high=interval.high if interval else None,
            at_least=bounds,
            too_bad=any(claims.exceeds(limit) for limit in limits if limit.covers(name)),
        )


def _ratio(own: _Numbers, first: _Numbers, name: str) -> Ratio:
    """The mean ratio of the rounds; by ranks where a value is 0, which has no logarithm."""
    one, base = own.by_round(name), first.by_round(name)
    pairs = [(one[place], base[place]) for place in one if place in base]
    if not pairs or any(min(pair) <= 0 for pair in pairs):
        return ratio_of(own.values(name), first.values(name), CONFIDENCE)
    estimate = mean_ratio([mine / other for mine, other in pairs], CONFIDENCE)
    known = len(pairs) >= FEWEST_ROUNDS and estimate.low is not None and estimate.high is not None
    return Ratio(estimate.mean, Interval(estimate.low or 0.0, estimate.high or 0.0) if known else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claims:
    """What an interval of a ratio shows.

    A ratio of a lower bound is one, too: it can only show that the true ratio is above.  A ratio to a lower bound can
    only show that it is below.
    """

    better: Better
    interval: Interval | None
    own_at_least: bool
    base_at_least: bool

    def beyond(self, share: float) -> int:
        """1 if the whole interval is above 1 + `share`, -1 if it is below 1 - `share`, else 0."""
        if self.interval is None:
            return 0
        if self.interval.low > 1 + share and not self.base_at_least:
            return 1
        return -1 if self.interval.high < 1 - share and not self.own_at_least else 0

    @property
    def difference(self) -> Difference:
        """Whether a difference is shown, and which one."""
        if self.interval is None:
            return Difference.UNKNOWN
        if not (shown := self.beyond(0)):
            return Difference.NOT_SHOWN
        return Difference.BETTER if (shown > 0) is (self.better is Better.HIGHER) else Difference.WORSE

    def exceeds(self, limit: Limit) -> bool:
        """Whether it is worse by more than the limit: a 5 % lower rate, or a 5 % longer time."""
        return self.beyond(limit.share) == (-1 if self.better is Better.HIGHER else 1)


def _could_exceed(row: CompareRow, limit: Limit) -> bool:
    """Whether a part of the interval is beyond the limit."""
    if row.ratio_low is None or row.ratio_high is None:
        return False
    return row.ratio_low < 1 - limit.share if row.better is Better.HIGHER else row.ratio_high > 1 + limit.share


def without_intervals(rows: Sequence[CompareRow]) -> tuple[str, ...]:
    """The groups of which no number has an interval: nothing can be shown of them."""
    known: dict[str, bool] = {}
    for row in rows:
        if row.ratio is not None:
            known[row.side] = known.get(row.side, False) or row.ratio_low is not None
    return tuple(side for side, has_one in known.items() if not has_one)


def _verdict(groups: Sequence[Group], *, interrupted: bool) -> Verdict:
    """That of the least valid group; CONFORMING when the groups can be compared.

    Whether the runs conform does not matter: two servers that both miss an objective can be compared.
    """
    if interrupted:
        return Verdict.INTERRUPTED
    verdicts = [verdict_of(group.runs) for group in groups]
    return next((one for one in (Verdict.INVALID, Verdict.DEGRADED) if one in verdicts), Verdict.CONFORMING)


def _judged(
    groups: Sequence[Group], rows: Sequence[CompareRow], limits: Sequence[Limit], *, in_rounds: bool
) -> Verdict:
    """NOT CONFORMING when a limit is exceeded; INVALID when enough runs were played, but too few count to tell."""
    if any(row.too_bad for row in rows):
        return Verdict.NOT_CONFORMING
    if not limits or not without_intervals(rows):
        return Verdict.CONFORMING
    fewest = FEWEST_ROUNDS if in_rounds else FEWEST
    played = min(len(group.runs) for group in groups)
    if in_rounds:  # enough ratios that are all the same have no interval either
        count = sum(all(run.counts for run in runs) for runs in zip(*(group.runs for group in groups), strict=False))
    else:
        count = min(sum(run.counts for run in group.runs) for group in groups)
    return Verdict.INVALID if count < fewest <= played else Verdict.CONFORMING


def _said(
    found: Sequence[_Numbers], rows: Sequence[CompareRow], limits: Sequence[Limit], *, in_rounds: bool
) -> Iterator[str]:
    first = found[0].name
    if not rows:
        yield "too few runs count, so nothing is compared"
        return
    for one in found[1:]:
        own = [row for row in rows if row.side == one.name and row.ratio is not None]
        if not own:
            yield f"{one.name} and {first} have no number that both know"
            continue
        shown = [row for row in own if row.difference in (Difference.BETTER, Difference.WORSE)]
        yield from (_shown(row, first) for row in shown)
        if not shown and any(row.ratio_low is not None for row in own):
            yield _no_difference(one.name, first, own)
        if all(row.ratio_low is None for row in own):
            yield _too_few(one, found[0], in_rounds=in_rounds)
    for limit in limits:
        yield from _limits(rows, limit)


def _left_out(found: Sequence[_Numbers]) -> Iterator[str]:
    for one in found:
        yield from (f"{one.name}: {said}" for said in left_out(one.group.runs))


def _limits(rows: Sequence[CompareRow], limit: Limit) -> Iterator[str]:
    """Which numbers exceed the limit, and of which that is not known."""
    own = [row for row in rows if row.difference is not Difference.FIRST and limit.covers(row.name)]
    share = f"{100 * limit.share:g} %"
    if bad := [f"{row.side} in {row.name}" for row in own if row.too_bad]:
        yield f"worse by more than {share}: {', '.join(bad)}"
    if maybe := [f"{row.side} in {row.name}" for row in own if not row.too_bad and _could_exceed(row, limit)]:
        yield f"it is not known whether they are worse by more than {share}: {', '.join(maybe)}; more runs may tell"
    if unknown := [f"{row.side} in {row.name}" for row in own if row.ratio_low is None]:
        yield f"--fail-if-worse does not judge numbers without an interval: {', '.join(unknown)}"


def _shown(row: CompareRow, first: str) -> str:
    word = "better" if row.difference is Difference.BETTER else "worse"
    low, high = row.ratio_low or 0.0, row.ratio_high or 0.0
    bound = " (a lower bound in some runs)" if row.at_least else ""
    return (
        f"{row.side} is {word} than {first}: {row.name}{bound} is {times(row.ratio or 0.0)} times that of {first} "
        f"({times(low)} to {times(high)}, {100 * CONFIDENCE:g} % confidence)"
    )


def _no_difference(side: str, first: str, rows: Sequence[CompareRow]) -> str:
    row = next(row for row in rows if row.ratio_low is not None)
    return (
        f"no difference between {side} and {first} is shown: {row.name} is {times(row.ratio_low or 0.0)} to "
        f"{times(row.ratio_high or 0.0)} times that of {first} ({100 * CONFIDENCE:g} % confidence)"
    )


def _too_few(one: _Numbers, first: _Numbers, *, in_rounds: bool) -> str:
    base, own = (
        f"{counted(sum(run.counts for run in numbers.group.runs), 'run')} of {numbers.name}" for numbers in (first, one)
    )
    enough = f"{FEWEST_ROUNDS} rounds do" if in_rounds else f"{FEWEST} runs on each side do"
    return f"{base} and {own} give no interval, so nothing is shown; {enough}, and 10 are better"


def _notes(found: Sequence[_Numbers], rows: Sequence[CompareRow], *, in_rounds: bool) -> Iterator[str]:
    if not in_rounds and any(row.difference in (Difference.BETTER, Difference.WORSE) for row in rows):
        yield (
            "the groups were not played in turns, so a change of the machine between them looks like a difference, "
            "too; --interleave plays them in turns"
        )
    for one in found:
        yield from (f"{one.name}: {said}" for said in said_of(list(one.rows.values())))


def times(ratio: float) -> str:
    """A ratio as text; `infinitely many` for one to 0."""
    return f"{ratio:.3f}" if math.isfinite(ratio) else "infinitely many"
