"""Places whose commands a supervisor of their own runs, the process :mod:`deploy.commands.supervisor`."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Mapping, Sequence

from deploy.commands.api import Ran
from deploy.commands.wire import Open, Ready, Step, decode_ran
from deploy.proc import why_no_process
from loadgen.model.errors import TargetError

MOST_LINE_BYTES = 16 << 20
"""More than MOST_OUTPUT_BYTES, escaped."""

_SUPERVISOR = (sys.executable, "-P", "-m", "deploy.commands.supervisor")  # -P: do not import a `deploy` of the user
_READY_S = 60.0
_STOP_S = 10.0


class Supervised:
    """A place whose commands a supervisor of its own runs."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.directory = ""
        """Its directory of this machine, known once it is open."""
        self._process: asyncio.subprocess.Process | None = None

    async def open(self, opening: Open) -> None:
        """Start the supervisor, and let it make the place.  Raises TargetError."""
        try:
            self._process = await asyncio.create_subprocess_exec(
                *_SUPERVISOR,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=MOST_LINE_BYTES,
                start_new_session=True,  # Ctrl-C in a terminal must reach loadgen only
            )
        except OSError as error:
            raise TargetError(f"{self.name}: its supervisor did not start: {why_no_process(error)}") from error
        try:
            async with asyncio.timeout(_READY_S):
                ready = Ready.decode(await self._ask(opening.encode()))
        except TimeoutError:
            raise TargetError(f"{self.name} was not made within {_READY_S:g} s") from None
        if ready.problem:
            raise TargetError(f"{self.name} cannot be made: {ready.problem}")
        self.directory = ready.directory

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
async def supervised(openings: Mapping[str, Open]) -> AsyncIterator[tuple[Supervised, ...]]:
    """Places by their names, open inside the context, and removed behind it, also when this task is cancelled."""
    places = tuple(Supervised(name) for name in openings)
    try:
        async with asyncio.TaskGroup() as group:
            for place, opening in zip(places, openings.values(), strict=True):
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


async def _close(places: Sequence[Supervised]) -> None:
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


def names_of(count: int) -> tuple[str, ...]:
    """vm01, vm02 and so on, all of one length."""
    width = max(2, len(str(count)))
    return tuple(f"vm{number:0{width}d}" for number in range(1, count + 1))
