"""One `loadgen spec` run: servers, tape, fleet, traffic, judgement, record."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from coordinator.ask import ask_all
from coordinator.audit import Auditor
from coordinator.conductor import Conductor, Hooks
from coordinator.evidence import Intake
from coordinator.fleet.api import Fleet, Prepare
from coordinator.fleet.choice import FleetChoice, WayKind, make_fleet
from coordinator.frame import after_the_run, open_fleet, place_on, say_lost, stall_notes, with_engines
from coordinator.here import settle_here
from coordinator.judge import Evidence, connection_rows, judge
from coordinator.memory import settle_memory
from coordinator.output.judged import Judged
from coordinator.output.terminal.build import ViewBuilder
from coordinator.output.terminal.engines import engine_title
from coordinator.output.terminal.live import View
from coordinator.output.terminal.runview import Position, RunView
from coordinator.record.document import finished, unfinished
from coordinator.record.environment import collect
from coordinator.record.fleet import FleetRecord
from coordinator.record.header import KIND_SPEC, Header
from coordinator.record.writer import RecordWriter
from coordinator.run import Interrupted, Ready, Run
from deploy.servers.catalog import choose
from deploy.vms.local import LocalVms, check_file_limit
from loadgen.engine.api import Assignment, EngineKind, Load, Timestamps
from loadgen.measure.events import EngineReady
from loadgen.model.errors import TargetError
from loadgen.model.plan import SpecPlan
from loadgen.model.shard import share_out
from loadgen.model.target import Target
from loadgen.schedule.optape import OpTape
from loadgen.schedule.placement import Placement
from loadgen.verdict.ports import Demand
from loadgen.verdict.result import RunResult
from workloads.specweb99 import files, fileset, urls
from workloads.specweb99.compile import compile_tape
from workloads.specweb99.mix import CONNECTS_PER_S, GROUPS, KINDS

_LINE_BPS = 400_000  # for which CONNECTS_PER_S holds


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a run needs of the world around it.

    `cache` holds file sets between runs; `say` tells the user what is being prepared; `progress` is told
    (done, total) while a file set is made; `view` shows the run.
    """

    command_line: tuple[str, ...]
    cache: Path
    say: Callable[[str], None]
    progress: Callable[[int, int], None]
    view: View[RunView]


@dataclass(slots=True)
class SpecRun:
    """See the module.  `notices` are what the user should know, in words, as they come up."""

    plan: SpecPlan
    choice: FleetChoice
    directory: Path
    around: Surroundings
    notices: list[str] = field(default_factory=list)
    _conductor: Conductor | None = None

    def interrupt(self) -> bool:
        """Stop the traffic and judge what there is; False while there is no traffic to stop."""
        if self._conductor is None:
            return False
        self._conductor.post(Interrupted())
        return True

    async def run(self) -> Judged[SpecPlan, RunResult]:
        """Play the plan.  What could not be recorded is among the result's notes.

        Raises LoadgenError when the run cannot be begun; from then on everything ends in the result.
        """
        if self.choice.way is WayKind.LOCAL:
            found, notices = settle_here(_demand(self.plan), _load(self.plan), self.plan.engines, tls=False)
            self.plan = dataclasses.replace(self.plan, sources=found.sources)
            self.notices += notices
        header = Header(
            kind=KIND_SPEC,
            started_at=datetime.now(UTC).isoformat(timespec="seconds"),
            plan=self.plan,
            targets=(),
            environment=collect(command_line=self.around.command_line),
            fleet=FleetRecord(way=self.choice.way.value, run_id=secrets.token_hex(8), hosts=self.choice.host_tables()),
        )
        with RecordWriter(self.directory, unfinished(header)) as writer:
            fleet = make_fleet(
                self.choice,
                self.plan.engines,
                self.plan.on_loss,
                run_id=header.own_fleet.run_id,
                say=self.around.say,
                on_log=writer.log,
            )
            async with AsyncExitStack() as stack:
                targets, server = await self._targets(stack)
                environment = dataclasses.replace(header.environment, server=server)
                header = dataclasses.replace(header, targets=targets, environment=environment)
                stack.push_async_callback(fleet.close)
                await open_fleet(fleet, self.choice, self.around.say)
                header = dataclasses.replace(header, fleet=await asyncio.to_thread(self._place, header, fleet))
                writer.rewrite(unfinished(header))
                result, header, evidence = await self._play(header, fleet, writer)
            during = (*fleet.problems, *writer.problems)
            unwritten = len(writer.problems)
            result = dataclasses.replace(result, notes=(*result.notes, *during))
            document = finished(header, result, finished_at=datetime.now(UTC).isoformat(timespec="seconds"))
            writer.finish(document, connection_rows(evidence))
            for problem in writer.problems[unwritten:]:
                self.around.say(problem)
            return Judged(path=self.directory, document=document, header=header, result=result)

    async def _targets(self, stack: AsyncExitStack) -> tuple[tuple[Target, ...], dict[str, object]]:
        """Start the VMs, or find those that are given."""
        if self.plan.targets:
            await self._probe(self.plan.targets)
            return self.plan.targets, {"kind": "given", "version": ""}
        server = choose(self.plan.server)
        check_file_limit(server, self.plan.connections)  # before a file set is made, of as many gigabytes
        shared = await self._file_set(self.around.cache / "fileset")
        docroots = [shared.root] * self.plan.vms
        if self.plan.fileset_per_vm:
            copies = self.around.cache / "per-vm"
            size_mb = self.plan.vms * shared.total_bytes / 1e6
            self.around.say(f"a copy of it for each of {self.plan.vms} VMs: {size_mb:.0f} MB, kept in {copies}")
            homes = [copies / f"vm{i + 1}" for i in range(self.plan.vms)]
            for home in homes:
                await _while_wanted(functools.partial(fileset.copy, shared, home), lambda done, total: None)
            docroots = homes
        self.around.say(f"starting {self.plan.vms} VMs: {server.kind.value} {server.version}")
        vms = await stack.enter_async_context(
            LocalVms(
                server,
                docroots=docroots,
                connections=self.plan.connections,
                base_port=self.plan.base_port,
                host=self.plan.vm_address,
            )
        )
        watching = asyncio.create_task(self._watch(vms))
        stack.callback(watching.cancel)
        deployed = vms.deployment
        return vms.targets, {
            "kind": deployed.server.value,
            "version": deployed.version,
            "driver": deployed.driver,
            "config": deployed.config,
        }

    async def _file_set(self, root: Path) -> fileset.FileSet:
        count = urls.directories(self.plan)
        self.around.say(f"file set: {count} directories, {count * files.DIRECTORY_BYTES / 1e6:.0f} MB, in {root}")
        return await _while_wanted(functools.partial(fileset.ensure, root, count), self.around.progress)

    async def _probe(self, targets: Sequence[Target]) -> None:
        """Given servers must be there and have the file set; some may be missing, not all."""
        last = urls.directories(self.plan) - 1
        answers = await ask_all(targets, urls.file_path(last, 0, 0))
        missing = [
            f"target {target.name} ({target.authority}): {answer.problem}"
            for target, answer in zip(targets, answers, strict=True)
            if answer.problem
        ]
        if len(missing) == len(targets):
            more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
            raise TargetError(
                missing[0] + more,
                hint=f"each must serve {last + 1} directories of the file set; see loadgen serve and loadgen fileset",
            )
        self.notices += missing

    async def _watch(self, vms: LocalVms) -> None:
        async for death in vms.deaths():
            self.notices.append(f"{death.name} died: {death.reason}")

    def _place(self, header: Header[SpecPlan], fleet: Fleet) -> FleetRecord:
        """Which worker plays what; machines that can't carry their share are left out, or the run is not begun."""
        plan = self.plan
        placed, notices = place_on(
            fleet,
            header.own_fleet,
            _demand(plan, header.targets),
            phases=plan.phases,
            seed=plan.seed,
            on_loss=plan.on_loss,
        )
        self.notices += notices
        return placed

    async def _play(
        self, header: Header[SpecPlan], fleet: Fleet, writer: RecordWriter
    ) -> tuple[RunResult, Header[SpecPlan], Evidence]:
        plan, targets, placement = self.plan, header.targets, header.own_fleet.placement
        self.around.say(f"compiling the operations of {plan.total_connections} connections (seed {plan.seed})")
        tape = await asyncio.to_thread(compile_tape, plan)
        # In threads, for leases must be renewed meanwhile: with hundreds of machines this takes seconds.
        await fleet.command(Prepare(await asyncio.to_thread(assignments, plan, placement, targets, tape)))
        settle_memory()

        intake = Intake.of(
            placement.workers, len(KINDS), len(GROUPS), connections=plan.total_connections, targets=len(targets)
        )
        auditor = Auditor(plan, targets, intake.ledger)
        builder = ViewBuilder(plan, targets, title=self._title(header))
        with self.around.view as view:

            def show(position: Position) -> None:
                machines = fleet.status()
                notices = [*self.notices, *say_lost(machines, run.lost)]
                engine = engine_title(conductor.engines.values())
                view.update(builder.build(intake.ledger, position, notices, machines, engine))

            def ready(engines: Mapping[str, EngineReady]) -> None:
                known = dataclasses.replace(header, fleet=with_engines(header.own_fleet, engines))
                writer.rewrite(unfinished(known))

            hooks = Hooks(ready=ready, reset=auditor.reset, audit=auditor.audit, keep=writer.append, show=show)
            run = Run(frozenset(placement.workers), plan.phases.iterations, plan.on_loss)
            conductor = self._conductor = Conductor(run, fleet, intake, plan.phases, hooks)
            conductor.post(Ready())
            await conductor.conduct()
        notes = [*self.notices, *auditor.problems, *stall_notes(conductor)]
        used = after_the_run(fleet, header.own_fleet, conductor)
        header = dataclasses.replace(header, fleet=used)
        evidence = Evidence(
            plan=plan,
            targets=targets,
            fleet=used,
            intake=intake,
            measured_ns=conductor.timeline.measured_ns(time.monotonic_ns()),
            complete=frozenset(run.complete),
            interrupted=run.interrupted,
            lost=dict(run.lost),
            log_checks=auditor.checks,
            began_ns=conductor.timeline.began_ns,
            shared=tuple(conductor.shared),
            notes=tuple(notes),
        )
        return judge(evidence), header, evidence

    def _title(self, header: Header[SpecPlan]) -> str:
        plan = self.plan
        server = header.environment.server.get("kind", "")
        return f"loadgen spec · {plan.vms} VMs × {plan.connections} connections · {server} · seed {plan.seed}"


async def _while_wanted(
    make: Callable[[fileset.Progress], fileset.FileSet], progress: fileset.Progress
) -> fileset.FileSet:
    """Make a file set in a thread.  Cancelled, it stops at the next directory: nobody waits for the others."""
    unwanted = threading.Event()

    def told(done: int, total: int) -> None:
        if unwanted.is_set():
            raise InterruptedError
        progress(done, total)

    try:
        return await asyncio.to_thread(make, told)
    finally:
        unwanted.set()


def assignments(plan: SpecPlan, placement: Placement, targets: tuple[Target, ...], tape: OpTape) -> list[Assignment]:
    """What each worker gets."""
    load = _load(plan)
    shares = tuple(share_out(plan.total_connections, [target.weight for target in targets]))
    return [
        Assignment(worker=worker, shard=placement.shard(worker), targets=targets, shares=shares, tape=tape, load=load)
        for worker in placement.workers
    ]


def _load(plan: SpecPlan) -> Load:
    return Load(
        line_bps=plan.line_bps,
        bound=plan.bound,
        timeout_ns=plan.timeout_ns,
        paced_reads=plan.paced_reads,
        engine=EngineKind(plan.engine),
        timestamps=Timestamps(plan.timestamps),
        sources=plan.sources,
    )


def _demand(plan: SpecPlan, targets: Sequence[Target] = ()) -> Demand:
    """What the plan asks of load machines; `targets` once they are there."""
    targets = targets or plan.targets
    return Demand(
        hosts=tuple(target.host for target in targets) or (plan.vm_address,) * plan.vms,
        shares=tuple(share_out(plan.total_connections, [target.weight for target in targets] or [1] * plan.vms)),
        connects_per_s=CONNECTS_PER_S * plan.line_bps / _LINE_BPS,
        sources=plan.sources,
    )
