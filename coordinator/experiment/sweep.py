"""The experiment that plays the same run at several numbers of VMs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from coordinator.experiment.api import Answer, Done, Next, Progress
from coordinator.record.kinds import KIND_SPEC, KIND_SWEEP
from coordinator.record.sweep_result import Sweep, SweepPoint
from loadgen.model.plan import SpecPlan
from loadgen.model.units import counted
from loadgen.verdict.result import Verdict


@dataclass(frozen=True, slots=True)
class VmSweep:
    """Plays `base` with each number of VMs in `vms`, in this order.

    With targets, a point uses the first targets of the list.
    """

    base: SpecPlan
    vms: tuple[int, ...]

    @property
    def runs(self) -> str:
        """The kind of the runs: `loadgen spec`."""
        return KIND_SPEC

    @property
    def kind(self) -> str:
        """The kind of the record, which lists the points."""
        return KIND_SWEEP

    @property
    def shown(self) -> SpecPlan:
        """The plan of the last point, because it has all targets."""
        return self._plan_of(self.vms[-1])

    def plan(self, done: Done) -> Next[SpecPlan] | Answer:
        """Return the next point; the answer after the last point, or when the user interrupted a point."""
        if len(done) == len(self.vms) or (done and done[-1].result.verdict is Verdict.INTERRUPTED):
            return self.answer(done)
        count = self.vms[len(done)]
        return Next(plan=self._plan_of(count), record=_record(count), label=counted(count, "VM"))

    def answer(self, done: Done) -> Answer:
        """Return all points so far; the verdict is the worst verdict of the points."""
        points = (SweepPoint(one.header.plan.vms, one.header, one.result, _record(one.header.plan.vms)) for one in done)
        return Answer(Sweep(vms=self.vms, points=tuple(points)))

    def progress(self, done: Done) -> Progress:
        """Return the progress; every point takes as long as the phases of its plan."""
        phases = self.base.phases
        point_ns = sum(phases.length_ns(iteration) for iteration in range(phases.iterations))
        return Progress(runs=len(self.vms), left_ns=(len(self.vms) - len(done)) * point_ns)

    def _plan_of(self, count: int) -> SpecPlan:
        return dataclasses.replace(self.base, vms=count, targets=self.base.targets[:count])


def _record(count: int) -> str:
    return f"vms-{count}"
