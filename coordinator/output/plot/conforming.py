"""Figure 4 of the paper: conforming connections by number of VMs, a bar for each system."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from coordinator.output.plot.bars import Bar, Bars
from coordinator.output.plot.picture import Picture, Subject
from coordinator.record.sweep_result import Sweep
from loadgen.model.units import counted
from loadgen.verdict.figures import CONFORM
from loadgen.verdict.repeats import Repeats
from loadgen.verdict.result import RunResult


def conforming(subjects: Sequence[Subject]) -> Picture:
    """Bars of conforming connections over all VMs; the interval is that of the iterations, or of the repeats."""
    found = {subject.name: dict(_bars(subject)) for subject in subjects}
    vms = sorted({number for bars in found.values() for number in bars})
    repeated = any(isinstance(subject.judged.result, Repeats) for subject in subjects)
    return Bars(
        groups=tuple(f"{counted(number, 'VM')}" for number in vms),
        series=tuple((name, tuple(bars.get(number) for number in vms)) for name, bars in found.items()),
        axis="conforming connections\n(SPECweb99-style)",
        group="simultaneous VMs",
        interval="95 % interval of the median" if repeated else "lowest and highest iteration",
        caption="Conforming connections by number of simultaneous VMs (SPECweb99-style, no SPEC score)",
    ).picture()


def _bars(subject: Subject) -> Iterator[tuple[int, Bar]]:
    """The number of VMs, and the bar, of each run."""
    result, plan = subject.judged.result, subject.judged.header.plan
    if isinstance(result, Sweep):
        for point in result.points:
            yield point.vms, _bar(point.result)
    elif isinstance(result, Repeats):
        row = next((row for row in result.rows if row.name == CONFORM), None)
        asked = plan.total_connections
        if row is None:
            yield plan.vms, Bar(note="not known" if result.valid else result.verdict.value)
        else:
            yield plan.vms, Bar(value=row.sample.median, low=row.sample.low, high=row.sample.high, asked=asked)
    else:
        yield plan.vms, _bar(result)


def _bar(result: RunResult) -> Bar:
    if not result.has_score or result.conforming_connections is None:
        return Bar(note=result.verdict.value)
    whole = [one.conforming for one in result.iterations if one.complete and one.conforming is not None]
    low, high = (min(whole), max(whole)) if len(whole) > 1 else (None, None)
    return Bar(value=result.conforming_connections, low=low, high=high, asked=result.requested_connections)
