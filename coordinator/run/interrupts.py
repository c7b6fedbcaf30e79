"""Ctrl-C (SIGINT), SIGTERM and SIGHUP: these signals stop a run, or end a role in the foreground."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Protocol, Self, TypeVar

from deploy.shield import give_up, waited_for
from loadgen.model.errors import ExitCode, LoadgenError

T = TypeVar("T")
Result = TypeVar("Result", covariant=True)

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


_TELL_S = 0.5
"""A healthy program has answered before."""

_AGAIN_S = 0.1


class NothingMeasuredError(LoadgenError):
    """Error: the user stopped the command before there was any traffic to judge."""

    exit_code = ExitCode.INTERRUPTED


class Interruptible(Protocol[Result]):
    """A run that can be interrupted."""

    def run(self) -> Coroutine[Any, Any, Result]:
        """Play the run from start to end, and return its result."""

    def interrupt(self) -> bool:
        """Stop the traffic and judge what was measured; returns False while there is no traffic to stop."""


class Interrupts:
    """A context manager that handles the signals: each signal stops the traffic of the current run.

    A signal before there is traffic cancels the run.  After a signal between two runs, the next run does not start.
    When the run then waits for another program, such as a container engine, `say` gets told so, and a further signal
    gives that up.
    """

    def __init__(self, say: Callable[[str], None] = lambda text: None) -> None:
        self._say = say
        self._told = self._cancelled = False
        self._signalled = asyncio.Event()
        self._next = asyncio.Event()
        self._run: Interruptible[Any] | None = None
        self._task: asyncio.Task[Any] | None = None
        self._numbers = _heeded()

    def __enter__(self) -> Self:
        for number in self._numbers:
            asyncio.get_running_loop().add_signal_handler(number, self._stop)
        return self

    def __exit__(self, *_: object) -> None:
        for number in self._numbers:
            asyncio.get_running_loop().remove_signal_handler(number)

    def _stop(self) -> None:
        self._signalled.set()
        self._next.set()
        if self._run is None or self._task is None:
            return
        if not self._run.interrupt():
            self._task.cancel()
            self._cancelled = True
        if self._told:
            self._give_up(self._task)
        else:
            asyncio.get_running_loop().call_later(_TELL_S, self._tell, self._task)

    def _tell(self, task: asyncio.Task[Any]) -> None:
        """Say what a run that was stopped waits for; if it is nothing now, look again a little later."""
        if task.done() or self._told:
            return
        if waits := waited_for():
            self._told = True
            self._say(f"stopping: waiting until {'; '.join(waits)}.  Ctrl-C again ends the run without that")
        else:
            asyncio.get_running_loop().call_later(_TELL_S, self._tell, task)

    def _give_up(self, task: asyncio.Task[Any]) -> None:
        """Wait for no other program any more, also not for what the end of the run asks of it."""
        if not task.done():
            give_up()
            asyncio.get_running_loop().call_later(_AGAIN_S, self._give_up, task)

    @property
    def came(self) -> bool:
        """Whether there was a signal."""
        return self._signalled.is_set()

    async def wait(self) -> None:
        """Return when there was a signal."""
        await self._signalled.wait()

    async def unless_again(self, work: Coroutine[Any, Any, None]) -> bool:
        """Do `work`.  Returns False when a signal comes meanwhile, which cancels it; earlier signals do not count."""
        self._next.clear()
        return await unless(self._next.wait(), work)

    async def during(self, run: Interruptible[T]) -> T:
        """Play a run.  Raises NothingMeasuredError when a signal comes before there is any traffic."""
        if self.came:
            raise _nothing_measured()
        task = asyncio.ensure_future(run.run())
        self._run, self._task = run, task
        try:
            return await task
        except asyncio.CancelledError:
            raise _nothing_measured() from None
        except LoadgenError as error:
            if not self._cancelled:
                raise
            raise _nothing_measured(error) from error  # what a run that was cancelled could not remove
        finally:
            self._run = self._task = None
            self._told = self._cancelled = False


async def unless(stop: Coroutine[Any, Any, object], work: Coroutine[Any, Any, None]) -> bool:
    """Do `work`, and return whether it ended; when `stop` ends before, it is cancelled.  Raises what `work` raises."""
    doing, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop)
    try:
        await asyncio.wait((doing, stopping), return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            await doing
        return doing.done()
    finally:
        for task in (doing, stopping):
            task.cancel()
        await asyncio.gather(doing, stopping, return_exceptions=True)


@contextlib.asynccontextmanager
async def until_signalled() -> AsyncIterator[asyncio.Event]:
    """Inside the context, SIGINT, SIGTERM and SIGHUP set the event instead of ending the process."""
    loop, signalled, numbers = asyncio.get_running_loop(), asyncio.Event(), _heeded()
    for number in numbers:
        loop.add_signal_handler(number, signalled.set)
    try:
        yield signalled
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def _heeded() -> list[signal.Signals]:
    """The signals that stop a run.  A signal that is ignored stays ignored, because nohup relies on this."""
    return [number for number in _STOP_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]


def _nothing_measured(error: LoadgenError | None = None) -> NothingMeasuredError:
    also, hint = (f"; {error.message}", error.hint) if error is not None else ("", "")
    return NothingMeasuredError(f"interrupted before there was any traffic; nothing was measured{also}", hint=hint)
