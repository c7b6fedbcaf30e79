"""The experiment that finds a capacity: the greatest number of connections, of VMs, or of requests per second at which
runs conform.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from coordinator.experiment.api import Answer, Done, Next, Progress
from coordinator.output.judged import Judged
from coordinator.record.find_result import Find, FindStep, Wanted, trials_of
from coordinator.record.kinds import KIND_HTTP, KIND_HTTP_FIND, KIND_SPEC, KIND_SPEC_FIND
from loadgen.model.errors import LoadgenError, PlanError, TargetError
from loadgen.model.http_plan import HttpPlan
from loadgen.model.plan import SpecPlan
from loadgen.model.units import NS_PER_S
from loadgen.verdict.capacity import Search, Seen
from loadgen.verdict.http_result import HttpResult
from loadgen.verdict.result import RunResult, Verdict

P = TypeVar("P", SpecPlan, HttpPlan)


@dataclass(frozen=True, slots=True)
class _Axis:
    """A number that a search varies: in which kind of runs, how a plan takes it, and how long a run lasts."""

    runs: str
    kind: str
    varied: Callable[[Any, int], Any]
    run_ns: Callable[[Any], int]


def _with_connections(plan: SpecPlan, value: int) -> SpecPlan:
    return dataclasses.replace(plan, connections=value, engines=min(plan.engines, plan.vms * value))


def _with_vms(plan: SpecPlan, value: int) -> SpecPlan:
    engines = min(plan.engines, value * plan.connections)
    return dataclasses.replace(plan, vms=value, engines=engines, targets=plan.targets[:value])


def _with_rate(plan: HttpPlan, value: int) -> HttpPlan:
    return dataclasses.replace(plan, rate_per_s=float(value))


def _spec_ns(plan: SpecPlan) -> int:
    return sum(plan.phases.length_ns(iteration) for iteration in range(plan.phases.iterations))


def _http_ns(plan: HttpPlan) -> int:
    return plan.warmup_ns + plan.duration_ns


_AXES = {
    Wanted.CONNECTIONS: _Axis(KIND_SPEC, KIND_SPEC_FIND, _with_connections, _spec_ns),
    Wanted.VMS: _Axis(KIND_SPEC, KIND_SPEC_FIND, _with_vms, _spec_ns),
    Wanted.RATE: _Axis(KIND_HTTP, KIND_HTTP_FIND, _with_rate, _http_ns),
}


@dataclass(frozen=True, slots=True)
class FindCapacity(Generic[P]):
    """Plays `shown` with the numbers that `search` asks for, until the search is over."""

    shown: P
    wanted: Wanted
    search: Search

    @property
    def runs(self) -> str:
        """The kind of the runs: `loadgen spec`, or `loadgen http` for a rate."""
        return _AXES[self.wanted].runs

    @property
    def kind(self) -> str:
        """The kind of the record, which lists the runs."""
        return _AXES[self.wanted].kind

    def plan(self, done: Done) -> Next[P] | Answer:
        """Return the run at the next number; the answer when the search is over or the user stopped a run."""
        find = self._find(done)
        value = None if find.interrupted else self.search.next(trials_of(find.steps))
        if value is None:
            return Answer(find)
        before = [step for step in find.steps if step.value == value]
        plan, record = _AXES[self.wanted].varied(self.shown, value), f"{self.wanted.value}-{value}"
        record += f"-{len(before) + 1}" if before else ""
        return Next(
            plan=plan,
            record=record,
            label=self.wanted.words(value),
            # The longer a run, the less does a short disturbance make it INVALID: the second try has its full length.
            ends_early=not any(step.trial.seen is Seen.UNKNOWN for step in before),
            not_started=functools.partial(self._not_started, find.steps, plan, value, record),
        )

    def answer(self, done: Done) -> Answer:
        """Return what the runs say so far."""
        return Answer(self._find(done))

    def progress(self, done: Done) -> Progress:
        """Return about how long the search still takes; the number of its runs is not known before."""
        steps = self._find(done).steps
        left = self.search.runs_left(trials_of(steps))
        took_ns = [round(step.took_s * NS_PER_S) for step in steps if step.took_s is not None]
        # The planned time counts as one run more: it lacks the start of the servers, and runs that end early.
        each_ns = (_AXES[self.wanted].run_ns(self.shown) + sum(took_ns)) // (1 + len(took_ns))
        return Progress(runs=None, left_ns=left * each_ns)

    def _not_started(
        self, steps: Sequence[FindStep], plan: P, value: int, record: str, error: LoadgenError
    ) -> FindStep | None:
        """What it says that a run did not start with `error`, after the runs `steps`; None when it says nothing.

        VMs that do not start are an answer.  So is a limit, also of the load generator, that smaller numbers kept.
        """
        fewer_started = any(step.started and step.value < value for step in steps)
        by_number = fewer_started and (isinstance(error, PlanError) or error.of_generator)
        if not (by_number or (isinstance(error, TargetError) and self.wanted is Wanted.VMS)):
            return None
        servers = self.wanted is Wanted.VMS and not error.of_generator
        return FindStep(
            value=value,
            record=record,
            verdict=Verdict.NOT_CONFORMING if servers else Verdict.INVALID,
            reasons=(error.message,),
            asked=plan.rate_per_s if isinstance(plan, HttpPlan) else plan.total_connections,
            reached=None,
            p99_ms=None,
            started=False,
        )

    def _find(self, done: Done) -> Find:
        return Find(wanted=self.wanted, search=self.search, steps=tuple(self._step(one) for one in done))

    def _step(self, one: Judged[Any, Any]) -> FindStep:
        """What the search keeps of a run; a run that is read from the search's own record is a step already."""
        result = one.result
        if isinstance(result, FindStep):
            return result
        record, took_s = one.path.name, _took_s(one.document)
        if self.wanted is Wanted.RATE:
            return _of_http(one.header.plan, result, record, took_s)
        return _of_spec(one.header.plan, result, self.wanted, record, took_s)


def _took_s(document: Mapping[str, Any]) -> float | None:
    """How long a run took, with the start and the end of its servers; None when its document does not say."""
    if not document.get("finished_at"):
        return None
    began, ended = (datetime.fromisoformat(document[name]) for name in ("started_at", "finished_at"))
    return max(0.0, (ended - began).total_seconds())


def _of_spec(plan: SpecPlan, result: RunResult, wanted: Wanted, record: str, took_s: float | None) -> FindStep:
    median = result.iterations[result.median] if result.has_score and result.iterations else None
    p99 = median.response_ms.p99 if median else None
    return FindStep(
        value=plan.connections if wanted is Wanted.CONNECTIONS else plan.vms,
        record=record,
        verdict=result.verdict,
        reasons=result.reasons,
        asked=plan.total_connections,
        reached=result.conforming_connections,
        p99_ms=p99.low if p99 else None,
        stopped_early=bool(result.stopped_early),
        took_s=took_s,
    )


def _of_http(plan: HttpPlan, result: HttpResult, record: str, took_s: float | None) -> FindStep:
    known = result.verdict in (Verdict.CONFORMING, Verdict.NOT_CONFORMING)
    p99 = result.total.response_ms.p99
    return FindStep(
        value=round(plan.rate_per_s),
        record=record,
        verdict=result.verdict,
        reasons=result.reasons,
        asked=plan.rate_per_s,
        reached=result.total.per_s if known else None,
        p99_ms=p99.low if known and p99 else None,
        stopped_early=bool(result.stopped_early),
        took_s=took_s,
    )
