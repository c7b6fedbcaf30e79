"""`loadgen http`: the parts in which it differs from other kinds of tape runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from coordinator.fleet.choice import FleetChoice
from coordinator.kinds.http.judge import judge
from coordinator.kinds.tape import LEAST_NS, TapeKind
from coordinator.output.terminal.http_live import open_http_view
from coordinator.output.terminal.http_view import HttpViewBuilder
from coordinator.output.terminal.live import View
from coordinator.run.api import Played
from coordinator.run.evidence import TapeMeasured
from coordinator.run.tapes import Builder
from coordinator.run.tls_files import tls_settings
from deploy.redirects import followed
from deploy.vms import catalog
from deploy.vms.api import Deployment, VmRequest
from loadgen.engine.api import Arrivals, Load
from loadgen.measure.cells import Cell
from loadgen.model.bound import Bound
from loadgen.model.http2 import slots_of
from loadgen.model.http_plan import HttpPlan
from loadgen.model.stages import ramps_of
from loadgen.model.target import Target
from loadgen.model.tls import TlsSettings
from loadgen.schedule.arrivals import due_between
from loadgen.schedule.placement import Placement
from loadgen.verdict.early import missed_by_objectives
from loadgen.verdict.http_result import HttpResult
from loadgen.verdict.ports import Demand
from loadgen.verdict.result import Check
from loadgen.verdict.slo import Slo

ANY_TIME = Bound.rate(1)
"""The engines' limits of a request; here none: objectives are judged from the whole measurement, not by request."""


class HttpKind(TapeKind[HttpPlan, HttpResult]):
    """Sends requests that the user wrote to servers that run already, in a closed or an open loop."""

    name = "http"

    def planned_targets(self, plan: HttpPlan) -> Sequence[Target]:
        """Return the servers of the URLs."""
        return plan.targets

    def shares(self, plan: HttpPlan, targets: Sequence[Target]) -> Sequence[int]:
        """Return the connections (HTTP/2: the streams) to each server, in proportion to the weights of its requests."""
        return slots_of(plan.shares, plan.streams)

    def demand(self, plan: HttpPlan, targets: Sequence[Target] = ()) -> Demand:
        """Return what the plan needs from load machines: each TCP connection goes to one engine with its streams."""
        return dataclasses.replace(super().demand(plan, targets), shares=tuple(plan.shares), streams=plan.streams)

    def hosts(self, plan: HttpPlan, targets: Sequence[Target]) -> Sequence[str]:
        """Return the hosts that connections go to."""
        return [plan.dialed_of(target).host for target in targets]

    def load(self, plan: HttpPlan, part: int, parts: int) -> Load:
        """Return an open loop when the plan has a rate, otherwise a closed loop without think time."""
        arrivals = Arrivals(
            rate_per_s=plan.rate_per_s,
            poisson=plan.poisson,
            seed=plan.seed,
            part=part,
            parts=parts,
            max_backlog=plan.max_backlog,
            ramps=ramps_of(plan.stages),
            total=plan.total_requests,
        )
        return Load(
            line_bps=0,
            bound=ANY_TIME,
            timeout_ns=plan.timeout_ns,
            arrivals=arrivals if plan.rate_per_s else None,
            timestamps=plan.timestamps,
            sources=plan.sources,
            canary=plan.canary,
            tls_verify=plan.tls_verify,
            resolve=plan.resolve,
            ip_version=plan.ip_version,
            engine=plan.engine,
            streams=plan.streams if plan.http2 else 0,
            part=part,
            parts=parts,
            request_ns=plan.max_time_ns,
            dial=tuple((one.host, one.port) for one in plan.dialed) if plan.connect_to or plan.proxy else (),
            requests=0 if plan.rate_per_s else plan.total_requests,
        )

    def tls(self, plan: HttpPlan) -> TlsSettings:
        """Return the contents of the files that the plan names, and the server name."""
        return tls_settings(plan)

    def deployment(self, plan: HttpPlan, cache: Path) -> Deployment:
        """Return the servers of the URLs; each must accept a connection, with TLS for https."""
        request = VmRequest(
            count=len(plan.targets),
            targets=plan.targets,
            tls_verify=plan.tls_verify,
            tls=self.tls(plan),
            dialed=plan.dialed,
            ip_version=plan.ip_version,
            http2=plan.http2,
        )
        return catalog.choose_for("", plan.targets).prepare(request)

    def settle(self, plan: HttpPlan, fleet: FleetChoice | None) -> tuple[HttpPlan, tuple[str, ...]]:
        """Follow redirects once, when the plan asks for it, and choose source addresses."""
        told: tuple[str, ...] = ()
        if plan.follow:
            plan, told = followed(plan, tls_settings(plan))
        settled, notices = super().settle(plan, fleet)
        return settled, (*told, *notices)

    def builder(self, plan: HttpPlan, targets: Sequence[Target], server: str, placement: Placement) -> Builder:
        """Return the builder of the live view, with a row for each server."""
        return HttpViewBuilder(plan, title=title(plan))

    def open_view(self, console: Console) -> View[Any]:
        """Return the live view of servers, engines and machines."""
        return open_http_view(console)

    def judge(self, played: Played[HttpPlan, TapeMeasured]) -> HttpResult:
        """Judge rates and response times against the objectives, and check whether the generator can be trusted."""
        return judge(played, self.evidence(played))

    def missed(self, plan: HttpPlan, targets: Sequence[Target]) -> Callable[[TapeMeasured], Check | None]:
        """Complete the window of an open loop with requests that are answered at once; nothing is said of others."""
        arrivals, slos = self.load(plan, 0, 1).arrivals, [Slo.parse(text) for text in plan.slos]
        if arrivals is None or arrivals.ramps or arrivals.total:
            return lambda measured: None
        due = due_between(
            plan.warmup_ns,
            plan.warmup_ns + plan.duration_ns,
            rate_per_s=arrivals.rate_per_s,
            poisson=arrivals.poisson,
            seed=arrivals.seed,
        )

        def of(measured: TapeMeasured) -> Check | None:
            if measured.measured_ns.get(0, 0) < LEAST_NS:
                return None
            cells = list(measured.totals.window(0).values())
            return missed_by_objectives(Cell.merge_all(cells), slos, due, plan.duration_ns) if cells else None

        return of


def title(plan: HttpPlan) -> str:
    """Return the title of the run, one line."""
    what = plan.requests[0].name if len(plan.requests) == 1 else f"{len(plan.requests)} requests"
    rate = (
        f"{len(plan.stages)} stages up to {max(stage.rate_per_s for stage in plan.stages):,g}"
        if plan.stages
        else f"{plan.rate_per_s:,g}"
    )
    how = f"{rate}/s{' Poisson' if plan.poisson else ''} over " if plan.rate_per_s else ""
    total = f"{plan.total_requests:,} times · " if plan.total_requests else ""
    streams = f" x {plan.streams} streams (HTTP/2)" if plan.http2 else ""
    return f"loadgen http · {what} · {total}{how}{plan.connections:,} connections{streams}"
