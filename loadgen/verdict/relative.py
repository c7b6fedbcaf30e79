"""Judges the trials of `loadgen relative`: how good is each environment, relative to the first one?

Rounds are blocks: the trials of a round are close in time, so what changes slowly on the machine changes all of them.
That is why each round gives a ratio of its own, and the spread of these ratios gives the interval.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from loadgen.measure.trials import Copy, Round, Trial
from loadgen.model.relative import Better, RelativePlan
from loadgen.model.units import NS_PER_S, counted
from loadgen.verdict.relative_result import Difference, RelativeResult, RelativeRow, RoundResult
from loadgen.verdict.result import Verdict
from loadgen.verdict.student import CONFIDENCE, Estimate, mean_ratio

WALL_TIME = "wall time"
BUSY_SHARE = 0.1
"""From this share of the machine's CPU time on, others are named in a note."""

MANY_ROWS = 10
"""From so many intervals on, a note says that some are wrong by chance."""

FEW_ROUNDS = 3
"""With fewer rounds, an interval says next to nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What counts: a number of the output by its name, or the wall time."""

    name: str
    unit: str
    better: Better

    def of(self, copy: Copy) -> float | None:
        """The value in one VM; None when its output has no such number."""
        if self.name == WALL_TIME and not copy.numbers:
            return copy.wall_ns / NS_PER_S
        return next((number.value for number in copy.numbers if number.name == self.name), None)


def judge_relative(
    plan: RelativePlan, rounds: Sequence[Round], *, interrupted: bool = False, notes: Iterable[str] = ()
) -> RelativeResult:
    """The result of the rounds so far."""
    trials = [trial for one in rounds for trial in one.trials]
    rows = [row for measure in _measures(trials) for row in _rows(plan, measure, trials)]
    done = sum(one.complete for one in rounds)
    reasons: tuple[str, ...] = tuple(_said(plan, rows))
    if interrupted:
        reasons = (f"stopped by the user after {done} of {counted(plan.trials, 'round')}",)
    return RelativeResult(
        verdict=Verdict.INTERRUPTED if interrupted else Verdict.CONFORMING,
        reasons=reasons,
        notes=(*notes, *_notes(plan, done, trials, [row for row in rows if row.relative_low is not None])),
        rows=tuple(rows),
        rounds=tuple(rounds),
    )


def judge_round(played: Round, *, interrupted: bool, notes: Iterable[str] = ()) -> RoundResult:
    """The result of one round, as a run of its own."""
    trials = counted(len(played.trials), "trial")
    return RoundResult(
        verdict=Verdict.INTERRUPTED if interrupted else Verdict.CONFORMING,
        reasons=(f"stopped by the user after {trials}" if interrupted else f"{trials} were run",),
        notes=tuple(notes),
        round=played,
    )


def _measures(trials: Sequence[Trial]) -> list[Measure]:
    """The numbers of the outputs in the order in which they first come; the wall time if there is none."""
    found: dict[str, Measure] = {}
    for trial in trials:
        for copy in trial.copies:
            for number in copy.numbers:
                found.setdefault(number.name, Measure(name=number.name, unit=number.unit, better=number.better))
    return list(found.values()) or [Measure(name=WALL_TIME, unit="s", better=Better.LOWER)]


def _rows(plan: RelativePlan, measure: Measure, trials: Sequence[Trial]) -> list[RelativeRow]:
    values = {name: _by_round(measure, name, trials) for name in plan.environments}
    first = values[plan.environments[0]]
    return [
        _row(measure, name, found, None if name == plan.environments[0] else first, _by_vm(measure, name, trials))
        for name, found in values.items()
        if found
    ]


def _by_round(measure: Measure, environment: str, trials: Sequence[Trial]) -> dict[int, float]:
    """The value of each trial in an environment: the mean over its VMs."""
    found = {}
    for trial in trials:
        if trial.environment == environment:
            values = [value for copy in trial.copies if (value := measure.of(copy)) is not None]
            if values:
                found[trial.round] = statistics.fmean(values)
    return found


def _by_vm(measure: Measure, environment: str, trials: Sequence[Trial]) -> list[float]:
    """The mean of each VM over the trials in an environment."""
    found: dict[str, list[float]] = {}
    for trial in trials:
        for copy in trial.copies if trial.environment == environment else ():
            if (value := measure.of(copy)) is not None:
                found.setdefault(copy.vm, []).append(value)
    return [statistics.fmean(values) for values in found.values()]


def _row(
    measure: Measure, environment: str, found: dict[int, float], first: dict[int, float] | None, by_vm: list[float]
) -> RelativeRow:
    values = [found[number] for number in sorted(found)]
    ratio: Estimate | None = None
    pairs = 0
    if first is not None:
        both = [(found[number], first[number]) for number in found if number in first]
        pairs = len(both)
        if both and all(own > 0 and base > 0 for own, base in both):
            ratio = mean_ratio([own / base if measure.better is Better.HIGHER else base / own for own, base in both])
    several = len(by_vm) > 1
    return RelativeRow(
        metric=measure.name,
        unit=measure.unit,
        better=measure.better,
        environment=environment,
        values=tuple(values),
        mean=statistics.fmean(values),
        median=statistics.median(values),
        sd=statistics.stdev(values) if len(values) > 1 else None,
        relative=1.0 if first is None else ratio.mean if ratio else None,
        relative_low=ratio.low if ratio else None,
        relative_high=ratio.high if ratio else None,
        pairs=pairs,
        difference=Difference.FIRST if first is None else _difference(ratio),
        vm_low=min(by_vm) if several else None,
        vm_high=max(by_vm) if several else None,
    )


def _difference(ratio: Estimate | None) -> Difference:
    if ratio is None or ratio.low is None or ratio.high is None:
        return Difference.UNKNOWN
    if ratio.low > 1:
        return Difference.BETTER
    return Difference.WORSE if ratio.high < 1 else Difference.NOT_SHOWN


def _said(plan: RelativePlan, rows: Sequence[RelativeRow]) -> list[str]:
    """A sentence for each environment but the first one."""
    first = plan.environments[0]
    said = []
    for name in plan.environments[1:]:
        own = [row for row in rows if row.environment == name]
        if not own:
            continue
        if len(own) == 1:
            said.append(f"{name}: {_say(own[0], first)}")
            continue
        better, worse, alike = (
            sum(row.difference is kind for row in own)
            for kind in (Difference.BETTER, Difference.WORSE, Difference.NOT_SHOWN)
        )
        said.append(
            f"{name}, compared with {first}: of {len(own)} numbers, {better} are better and {worse} are worse; "
            f"{alike} show no difference"
        )
    return said


def _say(row: RelativeRow, first: str) -> str:
    if row.relative is None:
        return f"its {row.metric} cannot be divided by that of {first}"
    if row.difference is Difference.UNKNOWN:
        few = f"the same ratio in {row.pairs} rounds" if row.pairs > 1 else "one round"
        return f"{row.relative:.3f} times as good as {first}; {few} gives no interval"
    interval = f"{row.relative_low:.3f} to {row.relative_high:.3f}, {100 * CONFIDENCE:g} % confidence"
    if row.difference is Difference.NOT_SHOWN:
        return f"no difference from {first} is shown ({interval})"
    return f"{row.relative:.3f} times as good as {first} ({interval})"


def _notes(plan: RelativePlan, done: int, trials: Sequence[Trial], rows: Sequence[RelativeRow]) -> list[str]:
    notes = []
    if 1 < done < FEW_ROUNDS and len(plan.environments) > 1:
        notes.append(f"{done} rounds give very wide intervals; --trials 10 is the default")
    if plan.vm_limits.given and "bare" in plan.environments:
        notes.append("bare runs without the limits of the VMs")
    if (several := len(rows)) >= MANY_ROWS and done > 1:
        notes.append(f"of {several} intervals, about {several * (1 - CONFIDENCE):.0f} miss the true ratio by chance")
    worst = max(trials, key=lambda trial: trial.others_share, default=None)
    if worst is not None and worst.others_share >= BUSY_SHARE:
        most = f" (most: {worst.others_most})" if worst.others_most else ""
        share = f"{100 * worst.others_share:.0f} %"
        notes.append(
            f"other processes used up to {share} of this machine's CPU time during a trial{most}: "
            f"round {worst.round}, {worst.environment}"
        )
    return notes
