"""VMs that run until they are ended by hand: a process in the background holds each deployment (`loadgen vms`).

A file in a directory of the user describes each deployment, and names the process that holds it.  The file is removed
with the VMs.  A file whose process has ended says nothing, and is removed when it is found.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NoReturn

import uvloop

from deploy.proc import start_ticks
from deploy.vms.api import Deployment
from loadgen.model.errors import LoadgenError, PlanError, TargetError
from loadgen.model.target import Target

_END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_AGAIN_S = 0.05
_DOWN_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One deployment that runs: its name, the process that holds it, and its VMs.

    `started_at` is in seconds since the epoch.  `dead` are the VMs that have ended by themselves, with the reasons.
    """

    name: str
    pid: int
    start_ticks: int
    driver: str
    server: str
    started_at: float
    targets: tuple[Target, ...]
    dead: tuple[str, ...] = ()

    @property
    def runs(self) -> bool:
        """Whether the process that holds it still runs."""
        return start_ticks(self.pid) == self.start_ticks


def hold(deployment: Deployment, directory: Path, server: str) -> Held:
    """Start VMs that a process in the background holds, and wait until they serve.

    This process must have one thread.  Raises what the start of the deployment raises; KeyboardInterrupt ends the VMs.
    """
    _make_own(directory)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _be_holder(deployment, directory, server, writing)
    os.close(writing)
    try:
        with os.fdopen(reading) as answers:
            said = json.loads(answers.readline() or "{}")
    except KeyboardInterrupt:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)
        raise
    if "name" in said:
        return _read(directory / f"{said['name']}.json")
    os.waitpid(pid, 0)
    kind = {"PlanError": PlanError, "TargetError": TargetError}.get(said.get("kind", ""), TargetError)
    raise kind(said.get("message", "the process that holds the VMs ended"), hint=said.get("hint", ""))


def find_held(directory: Path) -> list[Held]:
    """The deployments that run, the oldest first; descriptions of others are removed."""
    if not directory.exists():
        return []
    _make_own(directory)
    found = []
    for path in sorted(directory.glob("*.json")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # written by another version
            held = _read(path)
            if held.runs:
                found.append(held)
            else:
                path.unlink(missing_ok=True)
    return sorted(found, key=lambda held: held.started_at)


def end_held(held: Held) -> None:
    """End the VMs of a deployment, and wait until that is done.

    Raises TargetError when they have not ended after a minute.
    """
    with contextlib.suppress(ProcessLookupError):
        os.kill(held.pid, signal.SIGTERM)
    deadline_s = time.monotonic() + _DOWN_S
    while held.runs:
        if time.monotonic() > deadline_s:
            raise TargetError(f"the VMs {held.name} have not ended within {_DOWN_S:g} s (process {held.pid})")
        time.sleep(_AGAIN_S)


def _make_own(directory: Path) -> None:
    """Make the directory of this user; raises PlanError for one of somebody else, whose files would be believed."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if directory.is_symlink() or directory.stat().st_uid != os.geteuid():
        raise PlanError(f"{directory} belongs to another user", hint="set TMPDIR to a directory of your own")


def _be_holder(deployment: Deployment, directory: Path, server: str, answers: int) -> NoReturn:
    """Hold the deployment until a signal, and never return into the code of the parent."""
    status = 1
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(null, descriptor)
        uvloop.run(_hold(deployment, directory, server, answers))
        status = 0
    except LoadgenError as error:
        _tell(answers, {"kind": type(error).__name__, "message": error.message, "hint": error.hint})
    except BaseException as error:  # noqa: BLE001 - the process must end here, and its parent must know why
        _tell(answers, {"message": f"the process that holds the VMs failed: {error!r}"})
    finally:
        os._exit(status)


async def _hold(deployment: Deployment, directory: Path, server: str, answers: int) -> None:
    loop, asked_to_end = asyncio.get_running_loop(), asyncio.Event()
    main = asyncio.current_task()
    assert main is not None
    for number in _END_SIGNALS:
        loop.add_signal_handler(number, main.cancel)  # while the VMs start
    with contextlib.suppress(asyncio.CancelledError), contextlib.ExitStack() as once_ended:
        async with deployment as vms:
            for number in _END_SIGNALS:
                loop.add_signal_handler(number, asked_to_end.set)
            held = _claim(vms, directory, server)
            once_ended.callback((directory / f"{held.name}.json").unlink, missing_ok=True)
            _tell(answers, {"name": held.name})
            await _until_end(vms, held, directory, asked_to_end)


async def _until_end(vms: Deployment, held: Held, directory: Path, asked_to_end: asyncio.Event) -> None:
    async def watch() -> None:
        now = held
        async for death in vms.deaths():
            now = replace(now, dead=(*now.dead, f"{death.name}: {death.reason}"))
            _write(directory / f"{now.name}.json", now)

    watching = asyncio.create_task(watch())
    await asked_to_end.wait()
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


def _claim(vms: Deployment, directory: Path, server: str) -> Held:
    """The description of a deployment under the first number that is free."""
    taken = {held.name for held in find_held(directory)}
    number = 1
    while True:
        held = Held(
            name=str(number),
            pid=os.getpid(),
            start_ticks=start_ticks(os.getpid()),
            driver=vms.facts.driver,
            server=server,
            started_at=time.time(),
            targets=vms.targets,
        )
        try:
            if held.name not in taken:
                with (directory / f"{held.name}.json").open("x"):
                    pass
                _write(directory / f"{held.name}.json", held)
                return held
        except FileExistsError:  # another one took it in this moment
            pass
        number += 1


def _write(path: Path, held: Held) -> None:
    """Replace the file at once, so that a reader finds the old or the new description."""
    new = path.with_name(f".{path.name}")
    new.write_text(json.dumps(asdict(held)))
    new.replace(path)


def _read(path: Path) -> Held:
    data = json.loads(path.read_text())
    lists = {"targets": tuple(Target(**one) for one in data["targets"]), "dead": tuple(data["dead"])}
    return Held(**{**data, **lists})


def _tell(answers: int, message: dict[str, str]) -> None:
    with contextlib.suppress(OSError):
        os.write(answers, json.dumps(message).encode() + b"\n")
    with contextlib.suppress(OSError):
        os.close(answers)
