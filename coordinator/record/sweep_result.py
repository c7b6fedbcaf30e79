"""The result of a sweep: the same run at several numbers of VMs."""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.record.header import Header, RecordError
from loadgen.model.errors import ExitCode
from loadgen.model.plan import SpecPlan
from loadgen.verdict.result import RunResult, Verdict

_WORST_FIRST = (
    Verdict.INTERRUPTED,
    Verdict.INVALID,
    Verdict.DEGRADED,
    Verdict.NOT_CONFORMING,
    Verdict.CONFORMING,
)


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """One number of VMs, and its run.  `record` is the directory of the run's record, relative to the sweep's."""

    vms: int
    header: Header[SpecPlan]
    result: RunResult
    record: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """The `points` measured so far, in the order in which they ran, of the numbers of VMs asked for."""

    vms: tuple[int, ...]
    points: tuple[SweepPoint, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of the points.  Raises RecordError without any point: the sweep was cut in its first."""
        found = {point.result.verdict for point in self.points}
        for verdict in _WORST_FIRST:
            if verdict in found:
                return verdict
        raise RecordError(
            "the sweep was cut before its first point was done, so it has no verdict",
            hint="the records of its points are in the directories below it",
        )

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the command.  Raises RecordError without any point."""
        return self.verdict.exit_code

    @property
    def reasons(self) -> tuple[str, ...]:
        """The reasons of each point that does not conform."""
        return tuple(
            f"VMs {point.vms}: {reason}"
            for point in self.points
            if point.result.verdict is not Verdict.CONFORMING
            for reason in point.result.reasons
        )
