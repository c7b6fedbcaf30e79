"""Figure 3 of the paper: how good each environment is, relative to the first one."""

from __future__ import annotations

from collections.abc import Sequence

from coordinator.output.plot.bars import Bar, Bars
from coordinator.output.plot.picture import Picture, Subject
from loadgen.model.errors import PlanError
from loadgen.verdict.relative_result import Difference, RelativeResult, RelativeRow


def relative(subjects: Sequence[Subject]) -> Picture:
    """Bars of the ratio to the first environment, with 95 % intervals; above 1 is better, whatever the metric.

    Raises PlanError when the first environments of several comparisons differ.
    """
    rows = [(subject, row) for subject in subjects for row in _result(subject).rows]
    several = len(subjects) > 1
    names = {id(row): f"{subject.name}: {row.metric}" if several else row.metric for subject, row in rows}
    metrics = tuple(dict.fromkeys(names.values()))
    environments = tuple(dict.fromkeys(row.environment for _, row in rows))
    bars = {(names[id(row)], row.environment): _bar(row) for _, row in rows}
    firsts = tuple(dict.fromkeys(row.environment for _, row in rows if row.difference is Difference.FIRST))
    if len(firsts) > 1:
        raise PlanError(
            f"these comparisons are relative to different environments: {', '.join(firsts)}",
            hint="draw each of them in a figure of its own",
        )
    first = "".join(firsts)
    return Bars(
        groups=metrics,
        series=tuple((name, tuple(bars.get((metric, name)) for metric in metrics)) for name in environments),
        axis=f"relative to {first}\n(higher is better)",
        group="metric",
        interval="95 % interval",
        caption=f"Performance relative to {first}; higher is better",
        level=1.0,
        decimals=3,
    ).picture()


def _result(subject: Subject) -> RelativeResult:
    result: RelativeResult = subject.judged.result
    return result


def _bar(row: RelativeRow) -> Bar:
    if row.difference is Difference.FIRST:
        return Bar(value=1.0)
    if row.relative is None:
        return Bar(note="not known")
    return Bar(value=row.relative, low=row.relative_low, high=row.relative_high)
