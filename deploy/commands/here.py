"""Environments of this machine: the machine itself, and boxes (:mod:`deploy.box`).

Commands are run by the same code in both, :mod:`deploy.commands.running`, so that they differ in the place only.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import deploy
from deploy.box.box import Box
from deploy.commands.api import Places, Ran
from deploy.commands.wire import Open, Step, decode_ran, decode_ready
from deploy.limits.groups import Groups, granted, remove_leftovers
from deploy.proc import why_no_process
from loadgen.host.scheduler import scheduler
from loadgen.model.errors import PlanError, TargetError
from loadgen.model.limits import VmLimits

_SUPERVISOR = (sys.executable, "-P", "-m", "deploy.commands.supervisor")  # -P: do not import a `deploy` of the user
_MOST_LINE_BYTES = 16 << 20  # more than MOST_OUTPUT_BYTES, escaped
_READY_S = 60.0
_STOP_S = 10.0


class Bare:
    """A :class:`deploy.commands.api.Environment`: this machine itself.  Its places are directories."""

    def check(self, limits: VmLimits) -> None:
        """Accept everything: limits apply to VMs."""

    @contextlib.asynccontextmanager
    async def places(self, count: int, limits: VmLimits) -> AsyncIterator[Places]:
        """Make empty directories."""
        async with _supervised([Open()] * count) as places:
            yield Places(places, {"scheduler": scheduler()})


class Ns:
    """A :class:`deploy.commands.api.Environment` of boxes: namespaces, a file system layer of their own, cgroups."""

    def check(self, limits: VmLimits) -> None:
        """Check that the user is root, and that this machine has a controller for each limit.  Raises PlanError."""
        if os.geteuid() != 0:
            raise PlanError(
                "the environment ns needs root, to create namespaces",
                hint="run loadgen as root, or leave out --env ns",
            )
        Groups(limits, disk=Path(tempfile.gettempdir()))

    @contextlib.asynccontextmanager
    async def places(self, count: int, limits: VmLimits) -> AsyncIterator[Places]:
        """Make boxes over the files of this machine, without a network but their own loopback device."""
        remove_leftovers()
        groups = Groups(limits, disk=Path(tempfile.gettempdir()))
        try:
            made = [groups.make(name) for name in _names(count)]
            boxes = [
                Box(hostname=group.name, directory="", visible=_python_paths(), groups=group.paths) for group in made
            ]
            async with _supervised([Open(box=box) for box in boxes]) as places:
                yield Places(places, {"base": "/", "limits": granted(made[0]), "scheduler": scheduler()})
        finally:
            await asyncio.to_thread(groups.remove)


class _Supervised:
    """A place whose commands a supervisor of its own runs."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._process: asyncio.subprocess.Process | None = None

    async def open(self, opening: Open) -> None:
        """Start the supervisor, and let it make the place.  Raises TargetError."""
        try:
            self._process = await asyncio.create_subprocess_exec(
                *_SUPERVISOR,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=_MOST_LINE_BYTES,
                start_new_session=True,  # Ctrl-C in a terminal must reach loadgen only
            )
        except OSError as error:
            raise TargetError(f"{self.name}: its supervisor did not start: {why_no_process(error)}") from error
        try:
            async with asyncio.timeout(_READY_S):
                problem = decode_ready(await self._ask(opening.encode()))
        except TimeoutError:
            raise TargetError(f"{self.name} was not made within {_READY_S:g} s") from None
        if problem:
            raise TargetError(f"{self.name} cannot be made: {problem}")

    async def run(self, argv: Sequence[str], timeout_ns: int) -> Ran:
        """Run a command; see :meth:`deploy.commands.api.Place.run`."""
        return decode_ran(await self._ask(Step(argv=tuple(argv), timeout_ns=timeout_ns).encode()))

    async def close(self) -> None:
        """Let the supervisor remove the place, and wait until it has."""
        process = self._process
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), _STOP_S)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _ask(self, line: bytes) -> bytes:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(line)
        answer = await process.stdout.readline()
        if not answer.endswith(b"\n"):
            raise TargetError(f"{self.name} ended by itself", hint=await self._last_words())
        return answer

    async def _last_words(self) -> str:
        assert self._process is not None
        assert self._process.stderr is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                said = (await self._process.stderr.read()).decode(errors="replace").splitlines()
                return said[-1] if said else ""
        return ""


@contextlib.asynccontextmanager
async def _supervised(openings: Sequence[Open]) -> AsyncIterator[tuple[_Supervised, ...]]:
    """Places that are open inside the context, and removed behind it, also when this task is cancelled."""
    places = tuple(_Supervised(name) for name in _names(len(openings)))
    try:
        async with asyncio.TaskGroup() as group:
            for place, opening in zip(places, openings, strict=True):
                group.create_task(place.open(opening))
    except BaseExceptionGroup as errors:
        await _close(places)
        raise _first(errors) from None
    except BaseException:
        await _close(places)
        raise
    try:
        yield places
    finally:
        await _close(places)


async def _close(places: Sequence[_Supervised]) -> None:
    """Remove places, to the end even when this task is cancelled meanwhile."""
    closing = asyncio.gather(*(place.close() for place in places))
    try:
        await asyncio.shield(closing)
    except asyncio.CancelledError:
        await asyncio.wait({closing})
        raise


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first exception that is no group."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _names(count: int) -> tuple[str, ...]:
    """vm01, vm02 and so on, all of one length."""
    width = max(2, len(str(count)))
    return tuple(f"vm{number:0{width}d}" for number in range(1, count + 1))


def _python_paths() -> tuple[str, ...]:
    """The directories of this Python that a box does not see through its base: those on another disk, or in /tmp."""
    wanted = {sys.prefix, sys.base_prefix, str(Path(deploy.__file__).parent.parent)}
    base = Path("/").stat().st_dev
    return tuple(sorted(path for path in wanted if Path(path).stat().st_dev != base or path.startswith("/tmp/")))
