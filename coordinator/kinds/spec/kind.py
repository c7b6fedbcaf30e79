"""`loadgen spec`: the parts in which it differs from other kinds of tape runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from coordinator.kinds.connections import connection_rows
from coordinator.kinds.spec.judge import judge
from coordinator.kinds.tape import LEAST_NS, TapeKind
from coordinator.output.terminal.build import ViewBuilder
from coordinator.output.terminal.live import View
from coordinator.output.terminal.screen import open_view
from coordinator.run.api import Around, Played
from coordinator.run.evidence import TapeMeasured
from coordinator.run.files import document_roots, prepare_files
from coordinator.run.tapes import Builder
from deploy.vms import catalog
from deploy.vms.api import Deployment, VmDriver, VmFacts, VmRequest
from loadgen.engine.api import Load
from loadgen.model.plan import SpecPlan
from loadgen.model.shard import share_out
from loadgen.model.target import Target
from loadgen.model.units import counted
from loadgen.schedule.placement import Placement
from loadgen.verdict.early import BestRest, missed_by_connections
from loadgen.verdict.result import Check, RunResult
from workloads.api import Workload
from workloads.catalog import of_spec, tcp_connections


class SpecKind(TapeKind[SpecPlan, RunResult]):
    """One web server per VM, paced connections, a limit for each connection, and server logs that are checked."""

    name = "spec"

    def workload(self, plan: SpecPlan) -> Workload[SpecPlan]:
        """Return the workload that the plan names."""
        return of_spec(plan)

    def planned_targets(self, plan: SpecPlan) -> Sequence[Target]:
        """Return the servers of --targets; () when the run starts VMs."""
        return plan.targets

    def shares(self, plan: SpecPlan, targets: Sequence[Target]) -> Sequence[int]:
        """Return the connections to each target, in proportion to its weight; all VMs of the run get equally many."""
        return share_out(plan.total_connections, [target.weight for target in targets] or [1] * plan.vms)

    def hosts(self, plan: SpecPlan, targets: Sequence[Target]) -> Sequence[str]:
        """Return the VMs' addresses, which are known before the VMs start."""
        return [target.host for target in targets] or plan.vm_hosts

    def load(self, plan: SpecPlan, part: int, parts: int) -> Load:
        """Return paced connections in a closed loop."""
        return Load(
            line_bps=plan.line_bps,
            bound=plan.bound,
            timeout_ns=plan.timeout_ns,
            paced_reads=plan.paced_reads,
            engine=plan.engine,
            timestamps=plan.timestamps,
            sources=plan.sources,
            canary=plan.canary,
        )

    def deployment(self, plan: SpecPlan, cache: Path) -> Deployment:
        """Return VMs on this machine with the file set and the dynamic operations, or the servers of --targets."""
        files = self.workload(plan).files(plan)
        assert files is not None
        request = VmRequest(
            count=plan.vms,
            server=plan.server,
            address=plan.vm_address,
            base_port=plan.base_port,
            connections=tcp_connections(plan),
            docroots=document_roots(cache, plan.vms, own=plan.fileset_per_vm),
            app=files.app,
            proof_path=files.proof_path,
            app_path=files.app_path,
            content=f"{files.extent} of the file set",
            targets=plan.targets,
            limits=plan.vm_limits,
        )
        return _driver(plan).prepare(request)

    async def before_servers(self, plan: SpecPlan, around: Around, facts: VmFacts) -> None:
        """Make the file set that the VMs serve."""
        files = self.workload(plan).files(plan)
        if files is not None and _driver(plan).starts_servers:
            await prepare_files(files, around, plan.vms, own=plan.fileset_per_vm)
            around.say(f"starting {counted(plan.vms, 'VM')}: {facts.server} {facts.version}")

    def server_facts(self, facts: VmFacts) -> Mapping[str, Any]:
        """Return the server software of the VMs, and what the driver says of them.

        Of servers that run elsewhere, only their origin is known.
        """
        if facts.server == "given":
            return {"kind": facts.server, "version": facts.version}
        own = {"kind": facts.server, "version": facts.version, "driver": facts.driver, "config": facts.config}
        return {**facts.details, **own}

    def builder(self, plan: SpecPlan, targets: Sequence[Target], server: str, placement: Placement) -> Builder:
        """Return the builder of the live view, with a row for each VM."""
        load = f"{counted(plan.vms, 'VM')} × {counted(plan.connections, 'connection')}"
        title = f"loadgen spec · {load} · {server} · seed {plan.seed}"
        return ViewBuilder(plan, targets, placement, title=title)

    def open_view(self, console: Console) -> View[Any]:
        """Return the live view of VMs, engines and machines."""
        return open_view(console)

    def judge(self, played: Played[SpecPlan, TapeMeasured]) -> RunResult:
        """Judge by the conforming connections of the median iteration, and by the trust checks of the generator."""
        return judge(played, self.evidence(played), self.workload(played.header.plan))

    def missed(self, plan: SpecPlan, targets: Sequence[Target]) -> Callable[[TapeMeasured], Check | None]:
        """Complete each window that was begun with connections that use their whole line."""
        asked, timings = self.asked(plan, targets), self.workload(plan).timings(plan)
        rest = None if timings is None else BestRest.of(timings, plan.phases.measure_ns, plan.line_bps)

        def of(measured: TapeMeasured) -> Check | None:
            if rest is None:
                return None
            totals = measured.totals
            begun = (window for window, ns in measured.measured_ns.items() if ns >= LEAST_NS)
            found = (missed_by_connections(totals.window_tallies(window), asked, rest) for window in begun)
            return next((check for check in found if check is not None), None)

        return of

    def rows(self, played: Played[SpecPlan, TapeMeasured]) -> NDArray[np.void]:
        """Return the results of each connection in each window."""
        return connection_rows(self.evidence(played))


def _driver(plan: SpecPlan) -> VmDriver:
    return catalog.choose_for(plan.vm_driver, plan.targets, plan.vm_limits, plan.vm_address)
