"""Plays `loadgen isolate`: for each hog, VMs are started, measured, and ended with all that runs in them."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coordinator.kinds.isolate.hostwatch import HostWatch
from coordinator.kinds.isolate.settle import driver_name
from coordinator.kinds.isolate.street import Street
from coordinator.kinds.isolate.webload import play_web, web_plan
from coordinator.output.terminal.isolate_live import IsolateProgress
from coordinator.run.api import Around, Stage
from coordinator.run.files import prepare_files
from loadgen.agent.children import start_child
from loadgen.host.scheduler import scheduler
from loadgen.measure.isolation import Isolated, Phase, Probed, Web, times_of
from loadgen.model.errors import LoadgenError, TargetError
from loadgen.model.isolate import Hog, IsolatePlan
from loadgen.model.units import counted
from loadgen.probe.pinger import TIMEOUT_NS, Pings
from workloads.catalog import of_spec


class IsolatePlayer:
    """Plays one plan."""

    def __init__(self, plan: IsolatePlan, around: Around) -> None:
        """A player that has started nothing."""
        self._plan = plan
        self._around = around
        self._phases: list[Phase] = []
        self._about: dict[str, Any] = {"driver": driver_name(plan), "scheduler": scheduler()}
        self._doing: asyncio.Task[Phase] | None = None
        self._ending = False
        self._playing = False
        self.interrupted = False

    def interrupt(self) -> bool:
        """End the phase that is being played, and all VMs; returns False before the first VM is started."""
        if not self._playing:
            return False
        self.interrupted = True
        if self._doing is not None and not self._ending:
            self._doing.cancel()
        return True

    async def play(self, stage: Stage[IsolatePlan]) -> Isolated:
        """Play all phases.  Raises LoadgenError when the first one cannot be begun."""
        Street(self._plan, self._around.cache)  # what the driver refuses is said before files are made
        await self._make_files()
        with stage.around.view:
            self._playing = True
            for hog in self._plan.phases:
                if self.interrupted:
                    break
                phase = await self._played(hog, stage.writer.path)
                if phase is None:
                    break
                self._phases.append(phase)
                stage.writer.append([phase])
                environment = dataclasses.replace(stage.header.environment, server=dict(self._about))
                stage.learn(environment=environment)
        return Isolated(phases=tuple(self._phases), about=self._about)

    async def _make_files(self) -> None:
        if self._plan.connections:
            files = of_spec(web_plan(self._plan)).files(web_plan(self._plan))
            assert files is not None
            await prepare_files(files, self._around, 1, own=False)

    async def _played(self, hog: Hog, record: Path) -> Phase | None:
        """One phase; None when the user stopped it.  Raises LoadgenError of the first one."""
        self._doing = asyncio.create_task(self._phase(hog, record))
        try:
            return await self._doing
        except asyncio.CancelledError:
            if not self.interrupted:
                raise
            return None
        except LoadgenError as error:
            if not self._phases:
                raise
            return Phase(hog=hog, failed=f"{error.message} ({error.hint})" if error.hint else error.message)
        finally:
            self._doing, self._ending = None, False

    async def _phase(self, hog: Hog, record: Path) -> Phase:
        self._show(hog, f"starting {counted(self._plan.vms, 'VM')}")
        street, watch = Street(self._plan, self._around.cache), HostWatch(self._plan.keep_memory_bytes)
        async with street:
            await street.open_servers()
            self._show(hog, "letting the hogs loose" if hog is not Hog.NONE else "measuring")
            await street.let_loose(hog)
            await watch.begin()
            self._show(hog, "measuring")
            pinged, web, failed = await self._measured(street, watch, record / f"web-{hog.value}")
            street.look()
            held, host = street.held(), await watch.end()
            self._learn(street, pinged)
            began_ns = time.monotonic_ns()
            self._show(hog, "ending the VMs")
            self._ending = True  # all of the phase is measured: it counts, whatever the user does now
        return Phase(
            hog=hog,
            game=_probed(pinged, "game"),
            echo=_probed(pinged, "echo"),
            web=web,
            held=held,
            host=host,
            deaths=street.deaths,
            failed=failed,
            end_ns=time.monotonic_ns() - began_ns,
        )

    async def _measured(
        self, street: Street, watch: HostWatch, record: Path
    ) -> tuple[Mapping[str, Any], Web | None, str]:
        """What the probes and the web load measured, and why they were broken off: "" when they were not."""
        measuring = asyncio.gather(self._ping(street), self._load(street, record))
        watching = asyncio.create_task(watch.run(street.look))
        try:
            await asyncio.wait((measuring, watching), return_when=asyncio.FIRST_COMPLETED)
            if not measuring.done():
                return {}, None, watching.result()
            pinged, web = measuring.result()
            return pinged, web, ""
        finally:
            for task in (measuring, watching):
                task.cancel()
            await asyncio.gather(measuring, watching, return_exceptions=True)

    async def _load(self, street: Street, record: Path) -> Web | None:
        if not self._plan.connections:
            return None
        return await play_web(self._plan, street.quiet, record, self._around.cache)

    async def _ping(self, street: Street) -> Mapping[str, Any]:
        """Run the prober.  Raises TargetError when it ends without a result."""
        host = street.quiet.host
        pings = Pings(
            echo=(host, street.ports["echo"]),
            game=(host, street.ports["game"]),
            time_ns=self._plan.measure_ns,
            sources=street.sources,
        )
        process = start_child("loadgen.probe.pinger", pings.encode())
        try:
            out, err = await asyncio.to_thread(process.communicate)
        except asyncio.CancelledError:
            process.kill()
            raise
        if process.returncode != 0 or not out:
            said = err.decode(errors="replace").strip().rpartition("\n")[2]
            raise TargetError(f"the prober ended with status {process.returncode}: {said}")
        found: Mapping[str, Any] = json.loads(out)
        return found

    def _learn(self, street: Street, pinged: Mapping[str, Any]) -> None:
        """Keep the facts about VMs, servers and probes, for the record."""
        facts = street.facts
        self._about |= {"kind": facts.server, "version": facts.version, "config": facts.config}
        self._about |= {"limits": dict(street.granted), "game": street.game.name}
        if pinged:
            version = pinged["about"].get("version", "")
            self._about |= {"game_version": version, "priority": pinged["priority"], "stamps": pinged["stamps"]}

    def _show(self, hog: Hog, doing: str) -> None:
        self._around.view.update(
            IsolateProgress(hog=hog.value, doing=doing, phases=tuple(self._phases), planned=len(self._plan.phases))
        )


def _probed(pinged: Mapping[str, Any], service: str) -> Probed | None:
    if not pinged:
        return None
    found = pinged[service]
    return Probed(
        answered=times_of(found["answered_ns"]),
        lost=found["lost"],
        timeout_ns=TIMEOUT_NS,
        late=times_of(found["late_ns"]),
    )
