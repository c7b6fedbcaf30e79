"""Which VM drivers work on this machine: each really starts one VM."""

from __future__ import annotations

import asyncio
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.doctor import Advice, Level
from deploy.vms.api import Deployment, VmRequest
from deploy.vms.catalog import BOOT, DRIVERS, choose, default_name
from loadgen.model.errors import LoadgenError, PlanError
from loadgen.model.plan import Server

if TYPE_CHECKING:
    from aiohttp import web

_PATH = "/dyn/trial"
_FILE = "/file_set/trial"
_AT_MOST_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """The start of one VM: its duration and the driver's notices, or the reason why it cannot be used and a hint."""

    driver: str
    took_s: float
    problem: str = ""
    hint: str = ""
    notices: tuple[str, ...] = ()


def application(docroot: Path, workdir: Path, static: bool) -> web.Application:
    """An application with one page, for the VM of a trial."""
    from aiohttp import web

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=f"{docroot} {workdir} {static}\n")

    app = web.Application()
    app.router.add_get(_PATH, answer)
    return app


async def try_drivers() -> list[Trial]:
    """Start and end one VM with each driver that starts servers, one driver after the other."""
    return [await _try(name) for name in DRIVERS if choose(name).starts_servers]


def advice(trials: list[Trial]) -> list[Advice]:
    """The findings of trials for `loadgen doctor`: a problem only where the default driver cannot be used."""
    return [_advice(trial) for trial in trials]


def _advice(trial: Trial) -> Advice:
    topic = f"VMs: {trial.driver}"
    if not trial.problem:
        finding = f"one VM was started and answered in {trial.took_s:.1f} s"
        level = Level.WARNING if trial.notices else Level.OK
        return Advice(level=level, topic=topic, finding=finding, meaning="; ".join(trial.notices))
    default = trial.driver == default_name(with_targets=False)
    return Advice(
        level=Level.PROBLEM if default else Level.WARNING,
        topic=topic,
        finding=trial.problem,
        meaning=f"--vm-driver {trial.driver} cannot be used here" + (f"; {trial.hint}" if trial.hint else ""),
    )


async def _try(name: str) -> Trial:
    began_s = time.monotonic()
    problem = hint = ""
    notices: tuple[str, ...] = ()
    with tempfile.TemporaryDirectory(prefix="loadgen-trial-") as docroot:
        try:
            async with asyncio.timeout(_AT_MOST_S), _prepared(name, Path(docroot)) as vms:
                notices = vms.notices
                took_s = time.monotonic() - began_s
        except LoadgenError as error:
            problem, hint = error.message, error.hint
        except TimeoutError:
            problem = f"a VM did not answer within {_AT_MOST_S:g} s"
    return Trial(driver=name, took_s=0.0 if problem else took_s, problem=problem, hint=hint, notices=notices)


def _prepared(name: str, docroot: Path) -> Deployment:
    """One VM with the builtin server, which starts fast, or another one where the driver has no such server.

    A VM that boots serves a file instead, if there is a server that needs no Python for that.
    """
    request = VmRequest(
        count=1,
        server=Server.BUILTIN,
        connections=1,
        docroots=(docroot,),
        app="deploy.trial:application",
        app_path=_PATH,
    )
    if name in BOOT:
        (docroot / _FILE.lstrip("/")).parent.mkdir(exist_ok=True)
        (docroot / _FILE.lstrip("/")).write_text("a trial\n")
        static = replace(request, server=Server.AUTO, app="", app_path="", proof_path=_FILE)
        deployment = choose(name).prepare(static)
        if deployment.facts.server != Server.BUILTIN.value:
            return deployment
    try:
        return choose(name).prepare(request)
    except PlanError:
        return choose(name).prepare(replace(request, server=Server.AUTO))
