"""Figure 4 of the paper: conforming connections by number of VMs, a bar for each system."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from coordinator.output.plot.bars import Bar, Bars
from coordinator.output.plot.marks import unscored
from coordinator.output.plot.picture import Picture, Subject
from coordinator.record.sweep_result import Sweep
from loadgen.model.units import counted
from loadgen.verdict.figures import CONFORM, COUNTED
from loadgen.verdict.repeats import Repeats, verdict_of
from loadgen.verdict.result import RunResult, Verdict
from workloads.catalog import style_of


def conforming(subjects: Sequence[Subject]) -> Picture:
    """Bars of conforming connections over all VMs; the interval is that of the iterations, or of the repeats."""
    found = {subject.name: dict(_bars(subject)) for subject in subjects}
    vms = sorted({number for bars in found.values() for number in bars})
    repeated = {isinstance(subject.judged.result, Repeats) for subject in subjects}
    intervals = ["95 % interval of the median"] * (True in repeated) + ["lowest and highest iteration"] * (
        False in repeated
    )
    styles = ", ".join(dict.fromkeys(style_of(subject.judged.header.plan) for subject in subjects))
    return Bars(
        groups=tuple(f"{counted(number, 'VM')}" for number in vms),
        series=tuple((name, tuple(bars.get(number) for number in vms)) for name, bars in found.items()),
        axis=f"conforming connections\n({styles})",
        group="simultaneous VMs",
        interval="\n(repeats) or ".join(intervals),
        caption=f"Conforming connections by number of simultaneous VMs ({styles}, no SPEC score)",
    ).picture()


def _bars(subject: Subject) -> Iterator[tuple[int, Bar]]:
    """The number of VMs, and the bar, of each run."""
    result, plan = subject.judged.result, subject.judged.header.plan
    if isinstance(result, Sweep):
        for point in result.points:
            yield point.vms, _bar(point.result)
    elif isinstance(result, Repeats):
        yield plan.vms, _of_repeats(result, plan.total_connections)
    else:
        yield plan.vms, _bar(result)


def _of_repeats(repeats: Repeats, asked: int) -> Bar:
    """The median of the runs that count; none where most do not, because the others were selected by chance."""
    over = [run for run in repeats.runs if run.verdict is not Verdict.INTERRUPTED]
    if not over:
        return Bar(note=repeats.verdict.value)
    if word := unscored(verdict_of(over)):
        return Bar(note=word)
    row = next((row for row in repeats.rows if row.name == CONFORM), None)
    if row is not None:
        return Bar(value=row.sample.median, low=row.sample.low, high=row.sample.high, asked=asked)
    known = any(figure.name == CONFORM for run in repeats.valid for figure in run.figures)
    return Bar(value=0, asked=asked) if known else Bar(note="not known")  # a number that is 0 in all runs has no row


def _bar(result: RunResult) -> Bar:
    if not result.is_comparable or result.conforming_connections is None:
        return Bar(note="cut short" if result.verdict in COUNTED else result.verdict.value)
    whole = [one.conforming for one in result.iterations if one.complete and one.conforming is not None]
    low, high = (min(whole), max(whole)) if len(whole) > 1 else (None, None)
    return Bar(value=result.conforming_connections, low=low, high=high, asked=result.requested_connections)
