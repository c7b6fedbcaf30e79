"""The answer of a sweep: the same run at several numbers of VMs."""

from __future__ import annotations

from dataclasses import dataclass

from loadgen.model.errors import ExitCode
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
    """One number of VMs and what came of it.  `record` is its directory, relative to the sweep's."""

    vms: int
    result: RunResult
    record: str = ""


@dataclass(frozen=True, slots=True)
class Sweep:
    """The points measured so far, in the order in which they ran; at least one."""

    points: tuple[SweepPoint, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of the points': a sweep is only as good as its weakest measurement."""
        found = {point.result.verdict for point in self.points}
        return next(verdict for verdict in _WORST_FIRST if verdict in found)

    @property
    def exit_code(self) -> ExitCode:
        """What the command exits with."""
        return self.verdict.exit_code

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why each point that did not conform did not."""
        return tuple(
            f"VMs {point.vms}: {reason}"
            for point in self.points
            if point.result.verdict is not Verdict.CONFORMING
            for reason in point.result.reasons
        )
