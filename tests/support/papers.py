"""Constructed runs of `loadgen paper`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from coordinator.experiment.api import Done, Next, StepPlayed
from coordinator.experiment.paper import Paper
from coordinator.output.judged import Judged
from coordinator.record.header import Header
from coordinator.record.kinds import KIND_PAPER
from coordinator.record.sweep_result import Sweep
from loadgen.measure.trials import Copy, Number, Round, Trial
from loadgen.model.errors import LoadgenError, PlanError, TargetError
from loadgen.model.paper import Experiment, PaperPlan
from loadgen.model.plan import Server
from loadgen.model.relative import Better
from loadgen.model.units import NS_PER_S
from loadgen.verdict.isolate import judge_isolate
from loadgen.verdict.network import judge_forward
from loadgen.verdict.pack import judge_pack
from loadgen.verdict.paper import PaperResult
from loadgen.verdict.relative import judge_relative
from loadgen.verdict.result import Verdict
from tests.support import isolations, packs, relatives, results
from tests.support.networks import FORWARD, forward_passages

PLAN = PaperPlan(vm_driver="ns", server=Server.APACHE, engines=2)
QUIET, BUSY = (0.02, "sshd (pid 7)"), (0.92, "make (pid 9)")
NO_ENGINE = PlanError(
    "the VM driver oci needs a container engine: no socket of Docker or podman answers, and podman is not installed",
    hint="install podman (Debian: apt-get install podman), or start Docker",
)
NO_DBENCH = PlanError("the recipe dbench needs dbench", hint="install it (Debian: dbench)")
LATE = TargetError("ns: the command exited with status 1", hint="make: *** No rule to make target")


def forwarded(others: tuple[float, str] = QUIET) -> Any:
    return judge_forward(FORWARD, forward_passages(), others=others)


def sweep(verdict: Verdict = Verdict.CONFORMING) -> Sweep:
    """Figure 4, whose last point is INVALID if `verdict` is."""
    last = results.invalid_result() if verdict is Verdict.INVALID else results.run_result(16)
    points = (*(results.sweep_point(vms, results.run_result(vms)) for vms in (1, 4)), results.sweep_point(16, last))
    return Sweep(vms=(1, 4, 16), points=points)


def micro() -> Any:
    """A comparison with some of the rows of the micro-benchmarks: ns is slower in `page fault` only."""
    names = {"fork and exit": (80.0, 80.5), "page fault": (0.2, 0.3), "stat": (0.5, 0.5)}
    played = []
    for number in (1, 2, 3):
        trials = [
            Trial(
                environment=environment,
                round=number,
                position=at + 1,
                copies=(
                    Copy(
                        vm="vm01",
                        wall_ns=NS_PER_S,
                        numbers=tuple(
                            Number(name=name, value=values[at] + number / 100, unit="us", better=Better.LOWER)
                            for name, values in names.items()
                        ),
                    ),
                ),
            )
            for at, environment in enumerate(relatives.PLAN.environments)
        ]
        played.append(Round(number=number, trials=tuple(trials)))
    return judge_relative(relatives.PLAN, played)


GOOD: dict[Experiment, Any] = {
    Experiment.SPEC: sweep(),
    Experiment.SPEC_OCI: NO_ENGINE,
    Experiment.TCP: forwarded(),
    Experiment.FORWARD: forwarded(),
    Experiment.PACK: judge_pack(packs.PLAN, packs.packed()),
    Experiment.ISOLATE: judge_isolate(isolations.PLAN, isolations.isolated()),
    Experiment.DBENCH: NO_DBENCH,
    Experiment.COMPILE: relatives.result(),
    Experiment.MICRO: micro(),
    Experiment.POSTGRESQL: relatives.result(),
}
"""By experiment, its result, or why it has none."""

BAD = {
    **GOOD,
    Experiment.SPEC: sweep(Verdict.INVALID),
    Experiment.TCP: forwarded(BUSY),
    Experiment.COMPILE: LATE,
}
"""The same on a busy machine."""

INTERRUPTED: dict[Experiment, Any] = {
    Experiment.SPEC: sweep(),
    Experiment.SPEC_OCI: NO_ENGINE,
    Experiment.TCP: judge_forward(FORWARD, forward_passages()[:3], others=QUIET, interrupted=True),
}


def played(step: Next[Any], found: Any) -> Judged[Any, Any]:
    """A step with its result, or with the error that ended it."""
    failed = found if isinstance(found, LoadgenError) else None
    result: Any = StepPlayed(result=None if failed else found, took_ns=83 * NS_PER_S, failed=failed)
    return Judged(path=Path("rec") / step.record, document={}, header=header(), result=result)


def play(found: dict[Experiment, Any], plan: PaperPlan = PLAN) -> Done:
    """All steps that `found` has results for, as the planner asks for them."""
    done: list[Judged[Any, Any]] = []
    while isinstance(step := Paper(plan).plan(done), Next) and Experiment(step.record) in found:
        done.append(played(step, found[Experiment(step.record)]))
    return done


def result(found: dict[Experiment, Any] | None = None) -> PaperResult:
    answer = Paper(PLAN).answer(play(GOOD if found is None else found)).result
    assert isinstance(answer, PaperResult)
    return answer


def header(plan: PaperPlan = PLAN) -> Header[PaperPlan]:
    return Header(kind=KIND_PAPER, started_at="2026-02-03T04:05:06+00:00", plan=plan, environment=results.environment())
