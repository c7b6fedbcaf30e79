"""The VMs of one phase: the quiet one with its servers, and the antisocial ones with their hogs."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from coordinator.kinds.isolate.settle import driver_name, is_confined
from coordinator.kinds.isolate.webload import web_plan
from coordinator.kinds.pack.crowd import PROOF, document_root
from coordinator.run.files import document_roots
from deploy.hogs.bounds import did_in
from deploy.hogs.catalog import PROGRAM as HOG
from deploy.hogs.catalog import command
from deploy.limits.groups import Usage
from deploy.quiet.games import PROGRAM as GAME
from deploy.quiet.games import GameServer, find_game
from deploy.vms import catalog
from deploy.vms.api import Deployment, Hosting, VmFacts, VmRequest
from loadgen.measure.isolation import Held
from loadgen.model.errors import PlanError, TargetError
from loadgen.model.isolate import NEEDED_LIMITS, Hog, IsolatePlan
from loadgen.model.limits import NO_LIMITS
from loadgen.model.plan import Server
from loadgen.model.target import Target
from loadgen.model.units import NS_PER_S
from loadgen.probe.pinger import echo_number, echo_request
from loadgen.probe.quake3 import INFO, WANTED_ADDRESSES, parse_answer, query
from workloads.catalog import of_spec

GAME_PORT, ECHO_PORT = 27960, 27961
_ECHO = "echo"
_PAGE_APP = "coordinator.kinds.pack.page:make_app"
_NETWORK = "198.18.0.0/20"  # for benchmarks (RFC 2544)
_LOOPBACK = "127.0.0.1"
_READY_S = 30.0
_AGAIN_S = 0.3
_HOG_GRACE_S = 120.0
"""How much longer than the measured time a hog runs by itself: until then the phase has ended it."""


class Street:
    """The VMs of one phase, as an async context manager; the first one is the quiet one.

    `deaths` are sentences on programs of the quiet VM that ended by themselves.
    """

    def __init__(self, plan: IsolatePlan, cache: Path) -> None:
        """Nothing is started.  Raises PlanError when the driver cannot do this."""
        self._plan = plan
        self._deployment = _prepared(plan, cache)
        if not isinstance(self._deployment, Hosting):
            raise PlanError(
                f"the VM driver {driver_name(plan)} cannot run hogs in its VMs", hint="choose another --vm-driver"
            )
        self._host: Hosting = self._deployment
        self._sink: socket.socket | None = None
        self._reader: asyncio.Task[None] | None = None
        self._fallen: dict[str, str] = {}
        self._worst = Usage(
            cpu_ns=None, periods=None, throttled=None, throttled_ns=None, memory_bytes=None, oom_kills=None, pids=None,
            pids_refused=None,
        )  # fmt: skip
        self._hog = Hog.NONE
        self.deaths: tuple[str, ...] = ()
        self.sources: tuple[str, ...] = ()
        self.game = GameServer("", ())
        self.ports: Mapping[str, int] = {}

    async def __aenter__(self) -> Street:
        await self._deployment.__aenter__()
        self._reader = asyncio.create_task(self._read_deaths())
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._deployment.__aexit__(*error)
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        if self._sink is not None:
            self._sink.close()

    @property
    def facts(self) -> VmFacts:
        """The facts about the VMs."""
        return self._deployment.facts

    @property
    def quiet(self) -> Target:
        """The quiet VM's web server."""
        return self._deployment.targets[0]

    @property
    def granted(self) -> Mapping[str, Any]:
        """The limits that the kernel holds for each VM."""
        return self._host.granted(self.quiet.name)

    async def open_servers(self) -> None:
        """Start the game server and the echo of the quiet VM, and wait until they answer.  Raises TargetError."""
        quiet = self.quiet
        self.sources = self._host.sources(WANTED_ADDRESSES)
        confined = is_confined(self._plan)
        self.ports = {GAME: GAME_PORT, _ECHO: ECHO_PORT} if confined else _free_ports(quiet.host)
        self.game = find_game(self._plan.game, quiet.host, self.ports[GAME], confined=confined)
        self._host.run(quiet.name, self.game.program)
        self._host.run(quiet.name, _echo_program(quiet.host, self.ports[_ECHO]))
        secret = secrets.randbits(64)
        for name, asked in ((GAME, query(INFO, f"{secret:x}")), (_ECHO, echo_request(secret, 1))):
            await self._wait_for(name, asked, secret)

    async def let_loose(self, hog: Hog) -> None:
        """Start a hog in each antisocial VM, and wait until all of them have begun.

        One that needs a limit has begun when the kernel has refused it something because of that limit.  Raises
        TargetError when a limit that it needs is not set, or when it does not begin.
        """
        self._hog = hog
        if hog is Hog.NONE:
            return
        to = self._open_sink() if hog is Hog.NET else ""
        seconds = self._plan.measure_ns / NS_PER_S + _HOG_GRACE_S
        for target in self._antisocial:
            limits = self._host.granted(target.name)
            needed = NEEDED_LIMITS.get(hog)
            if needed and needed not in limits:
                raise TargetError(f"the hog {hog.value} is not started: {target.name} has no limit {needed}")
            forced = self._plan.force and not is_confined(self._plan)
            self._host.run(target.name, command(hog, seconds=seconds, limits=limits, to=to, forced=forced))
        deadline_s = time.monotonic() + _READY_S
        while waiting := [one.name for one in self._antisocial if not self._begun(one.name)]:
            if time.monotonic() > deadline_s:
                raise TargetError(f"the hog {hog.value} did not begin in {', '.join(waiting[:3])}")
            await asyncio.sleep(_AGAIN_S / 3)

    def look(self) -> None:
        """Note how much the fullest antisocial VM holds now."""
        for target in self._antisocial:
            now = self._host.usage(target.name)
            if now is not None and (now.pids or 0) >= (self._worst.pids or 0):
                self._worst = now

    def held(self) -> Held:
        """What the antisocial VMs have done, and what held them."""
        if self._hog is Hog.NONE:
            return Held(hogs=0, running=0)
        uses = [use for one in self._antisocial if (use := self._host.usage(one.name)) is not None]
        did = [did_in(self._host.log(target.name, HOG)) for target in self._antisocial]
        return Held(
            hogs=len(self._antisocial),
            running=len(self._antisocial) - len(self._fallen),
            did=sum(max(0, one) for one in did),
            cpu_ns=_sum([use.cpu_ns for use in uses]),
            memory_bytes=_sum([use.memory_bytes for use in uses]),
            pids=self._worst.pids,
            pids_refused=_sum([use.pids_refused for use in uses]),
            oom_kills=_sum([use.oom_kills for use in uses]),
            ended=next(iter(self._fallen.values()), ""),
        )

    @property
    def _antisocial(self) -> Sequence[Target]:
        return self._deployment.targets[1:]

    def _begun(self, name: str) -> bool:
        if name in self._fallen:
            return True
        use = self._host.usage(name)
        if use is not None and self._hog is Hog.FORK:
            return bool(use.pids_refused)
        if use is not None and self._hog is Hog.MEMORY:
            return bool(use.oom_kills)
        return did_in(self._host.log(name, HOG)) >= 0

    async def _wait_for(self, name: str, asked: bytes, secret: int) -> None:
        """Wait until a server of the quiet VM answers; the time-out of one answer is that of a rate-limited server."""
        deadline_s = time.monotonic() + _READY_S
        with socket.socket(socket.AF_INET6 if ":" in self.quiet.host else socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.connect((self.quiet.host, self.ports[name]))
            while time.monotonic() < deadline_s and not self.deaths:
                with contextlib.suppress(OSError):  # nobody listens yet
                    sock.send(asked)
                await asyncio.sleep(_AGAIN_S)
                with contextlib.suppress(OSError):
                    said = sock.recv(4096)
                    if echo_number(secret, said) is not None or parse_answer(said) is not None:
                        return
        why = "; ".join(self.deaths) or "it does not answer"
        said_last = self._host.log(self.quiet.name, name).strip().rpartition("\n")[2]
        raise TargetError(f"the {name} server of the quiet VM did not start: {why}", hint=said_last)

    def _open_sink(self) -> str:
        """A socket of this machine that reads nothing, for the flood: the kernel drops what it cannot keep."""
        host = self._host.gateway(self._antisocial[0].name)
        self._sink = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self._sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        self._sink.bind((host, 0))
        return f"{host}:{self._sink.getsockname()[1]}"

    async def _read_deaths(self) -> None:
        async for death in self._deployment.deaths():
            if death.name == self.quiet.name:
                self.deaths += (death.reason,)
            elif death.reason.startswith(f"{HOG} "):
                self._fallen.setdefault(death.name, death.reason)


def _prepared(plan: IsolatePlan, cache: Path) -> Deployment:
    """The deployment of a plan, not started.  Its VMs serve the file set when there is a web load, else one page."""
    confined, name = is_confined(plan), driver_name(plan)
    limits = plan.vm_limits if confined else NO_LIMITS
    address = plan.vm_address or (_NETWORK if confined else _LOOPBACK)
    driver = catalog.choose_for(name, (), limits, address)
    common: dict[str, Any] = {
        "count": plan.vms, "server": plan.server, "address": address, "connections": max(1, plan.connections),
        "limits": limits,
    }  # fmt: skip
    if plan.connections:
        files = of_spec(web_plan(plan)).files(web_plan(plan))
        assert files is not None
        return driver.prepare(
            VmRequest(
                **common,
                docroots=document_roots(cache, plan.vms, own=False),
                app=files.app,
                proof_path=files.proof_path,
                app_path=files.app_path,
                content=f"{files.extent} of the file set",
            )
        )
    roots = (document_root(cache),) * plan.vms
    page = VmRequest(**common, docroots=roots, proof_path=PROOF, content=f"the file {PROOF}")
    deployment = driver.prepare(page)
    if deployment.facts.server != Server.BUILTIN.value:
        return deployment
    return driver.prepare(VmRequest(**common, docroots=roots, proof_path=PROOF, app=_PAGE_APP, content="a page"))


def _echo_program(host: str, port: int) -> tuple[str, ...]:
    return (_ECHO, sys.executable, "-P", "-m", "deploy.quiet.echo", host, str(port))


def _free_ports(host: str) -> Mapping[str, int]:
    """Free UDP ports at an address of this machine; another program could take one until the server does."""
    with contextlib.ExitStack() as held:
        found = {}
        for name in (GAME, _ECHO):
            sock = held.enter_context(
                socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
            )
            sock.bind((host, 0))
            found[name] = sock.getsockname()[1]
        return found


def _sum(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
