"""The experiment that plays a run, and then asks how far the load generator was from being its limit."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from coordinator.experiment.api import Answer, Done, Next, NullReplies, Progress
from coordinator.fleet.choice import FleetChoice, WayKind
from coordinator.output.judged import Judged
from coordinator.record.header import Header
from coordinator.record.headroom_result import HeadroomResult, HeadroomStep, Role
from coordinator.record.kinds import KIND_HTTP, KIND_HTTP_HEADROOM, KIND_SPEC, KIND_SPEC_HEADROOM
from loadgen.model.errors import PlanError
from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_request import HttpRequest
from loadgen.model.plan import SpecPlan
from loadgen.model.sending import IpVersion
from loadgen.model.units import NS_PER_S
from loadgen.verdict.checks.tape.engine_cpu import ENGINE_CPU, ENGINE_RUNNABLE
from loadgen.verdict.http_result import HttpResult
from loadgen.verdict.result import RunResult, Trust, Verdict
from workloads.catalog import of_spec

P = TypeVar("P", SpecPlan, HttpPlan)

_ALONE_NS = 5 * NS_PER_S
_WARMUP_NS = NS_PER_S
_HEAD_BYTES = 45  # of a reply of the null responder
_TENTHS = 10


@dataclass(frozen=True, slots=True)
class CheckHeadroom(Generic[P]):
    """Plays `shown` on the load machines `fleet`, then with one engine more, then against a null responder.

    A run that cannot be played, or that would say nothing, is left out.
    """

    shown: P
    fleet: FleetChoice

    @property
    def runs(self) -> str:
        """The kind of the run that is asked about."""
        return KIND_SPEC if isinstance(self.shown, SpecPlan) else KIND_HTTP

    @property
    def kind(self) -> str:
        """The kind of the record, which lists the runs."""
        return KIND_SPEC_HEADROOM if isinstance(self.shown, SpecPlan) else KIND_HTTP_HEADROOM

    def plan(self, done: Done) -> Next[Any] | Answer:
        """Return the next run; the answer after the last one, when the user stopped one, or when nothing completed."""
        if not done:
            return Next(plan=self.shown, record=Role.RUN.value, label="the run")
        result = self._result(done)
        run = result.steps[0]
        roles = self._roles(done)
        if result.verdict is Verdict.INTERRUPTED or not run.per_s or len(done) == len(roles):
            return Answer(result)
        if roles[len(done)] is Role.MORE:
            return self._more(run.engines)
        return self._alone(done[0], run)

    def answer(self, done: Done) -> Answer:
        """Return what the runs say so far."""
        return Answer(self._result(done))

    def progress(self, done: Done) -> Progress:
        """Return the progress; the number of runs is not known before the first one has ended."""
        run_ns = self.shown.phases.total_ns
        lengths = [_WARMUP_NS + _ALONE_NS if role is Role.ALONE else run_ns for role in self._roles(done)]
        return Progress(runs=len(lengths) if done else None, left_ns=sum(lengths[len(done) :]))

    def _roles(self, done: Done) -> list[Role]:
        missing = {role for role, _ in self._left_out(done)}
        return [role for role in Role if role not in missing]

    def _result(self, done: Done) -> HeadroomResult:
        steps = tuple(_step(role, one) for role, one in zip(self._roles(done), done, strict=False))
        return HeadroomResult(steps=steps, left_out=tuple(self._left_out(done)))

    def _left_out(self, done: Done) -> Iterator[tuple[Role, str]]:
        """The runs that are not played, each with the reason as a sentence."""
        if done and (why := self._no_more(done[0].header)):
            yield Role.MORE, f"no run with one engine more was played: {why}"
        if why := self._not_alone():
            yield Role.ALONE, f"the load generator was not measured alone: {why}"

    def _no_more(self, header: Header[Any]) -> str:
        """Why one engine more would say nothing; "" when it says something."""
        engines = _engines_of(header)
        cores = min((machine.cores for machine in header.own_fleet.machines), default=header.environment.cores_usable)
        if engines >= cores:
            return f"{engines} engines have all {cores} cores"
        try:
            dataclasses.replace(self.shown, engines=engines + 1)
        except PlanError as error:
            return error.message
        return ""

    def _not_alone(self) -> str:
        """Why the load generator cannot be measured alone; "" when it can."""
        if self.fleet.way is not WayKind.LOCAL:
            return "the null responder is on this machine, but other machines make the load"
        if isinstance(self.shown, SpecPlan):
            several = of_spec(self.shown).counting(self.shown).requests > 1
            return "an operation of this workload is several requests" if several else ""
        if self.shown.http2:
            return "the null responder does not speak HTTP/2"
        if self.shown.proxy or any(target.tls for target in self.shown.targets):
            return "the null responder does not speak TLS, and is no proxy"
        return ""

    def _more(self, engines: int) -> Next[Any]:
        plan = dataclasses.replace(self.shown, engines=engines + 1)
        fleet = None if self.fleet.way is WayKind.LOCAL else dataclasses.replace(self.fleet, engines=engines + 1)
        return Next(plan=plan, record=Role.MORE.value, label="one engine more", fleet=fleet)

    def _alone(self, run: Judged[Any, Any], step: HeadroomStep) -> Next[Any]:
        """The load generator as fast as it can, with replies as long as those of the run on average."""
        plan = _http_of(self.shown, step) if isinstance(self.shown, SpecPlan) else self.shown
        free = dataclasses.replace(
            plan,
            requests=tuple(dataclasses.replace(one, status=0, expect="") for one in plan.requests),
            total_requests=0,
            stages=(),
            duration_ns=_ALONE_NS,
            warmup_ns=_WARMUP_NS,
            rate_per_s=0.0,
            poisson=False,
            max_time_ns=0,
            slos=(),
            connect_to=(),
            follow=0,
            ip_version=IpVersion.ANY,
            sources=(),
            engines=step.engines,
        )
        replies = NullReplies(
            body_bytes=max(0, round(_reply_bytes(run.result) - _HEAD_BYTES)), processes=-(-step.engines // 2)
        )
        return Next(plan=free, record=Role.ALONE.value, label="the null responder", kind=KIND_HTTP, replies=replies)


def _http_of(plan: SpecPlan, step: HeadroomStep) -> HttpPlan:
    """Requests as in the plan, without its pacing and its checks of replies: as many of them close their connection."""
    closing = of_spec(plan).connects_per_s(plan) * plan.total_connections / (step.per_s or 1)
    tenths = min(_TENTHS, round(_TENTHS * closing))
    url = "http://null-responder/"
    kept = HttpRequest(url=url, weight=max(1, _TENTHS - tenths))
    closed = HttpRequest(url=url, headers=("Connection: close",), weight=max(1, tenths))
    return HttpPlan(
        requests=((kept,) if tenths < _TENTHS else ()) + ((closed,) if tenths else ()),
        connections=plan.total_connections,
        engine=plan.engine,
        timestamps=plan.timestamps,
        timeout_ns=plan.timeout_ns,
        canary=plan.canary,
        engines=step.engines,
        seed=plan.seed,
    )


def _engines_of(header: Header[Any]) -> int:
    """The number of engines on each load machine; of machines that differ, the greatest one."""
    return max((len(machine.workers) for machine in header.own_fleet.machines), default=header.plan.engines)


def _step(role: Role, one: Judged[Any, Any]) -> HeadroomStep:
    result = one.result
    return HeadroomStep(
        role=role,
        verdict=result.verdict,
        reasons=tuple(result.reasons),
        engines=_engines_of(one.header),
        per_s=None if result.verdict is Verdict.INTERRUPTED else _per_s(result),
        busy_share=_busy_share(result.trust),
    )


def _per_s(result: RunResult | HttpResult) -> float:
    if isinstance(result, HttpResult):
        return result.total.per_s
    rates = [iteration.ops_per_s for iteration in result.iterations if iteration.complete]
    return sum(rates) / len(rates) if rates else 0.0


def _reply_bytes(result: RunResult | HttpResult) -> float:
    """The mean length of a reply, of a run that completed requests."""
    if isinstance(result, HttpResult):
        return result.total.mbit_per_s * 1e6 / 8 / result.total.per_s
    complete = [one for one in result.iterations if one.complete]
    return sum(one.kbit_per_s for one in complete) * 1e3 / 8 / sum(one.ops_per_s for one in complete)


def _busy_share(trust: Trust) -> float | None:
    """The share of the time in which the busiest engine worked or waited for a core; None where it is not known."""
    known = {check.name: check.value / 100 for check in trust.checks if check.known}
    return known.get(ENGINE_RUNNABLE, known.get(ENGINE_CPU))
