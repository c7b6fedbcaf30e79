"""Ctrl-C (SIGINT), SIGTERM and SIGHUP: these signals stop a run, or end a role in the foreground."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Protocol, Self, TypeVar

from loadgen.model.errors import ExitCode, LoadgenError

T = TypeVar("T")
Result = TypeVar("Result", covariant=True)

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


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
    """

    def __init__(self) -> None:
        self._signalled = asyncio.Event()
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
        if self._run is not None and self._task is not None and not self._run.interrupt():
            self._task.cancel()

    @property
    def came(self) -> bool:
        """Whether there was a signal."""
        return self._signalled.is_set()

    async def wait(self) -> None:
        """Return when there was a signal."""
        await self._signalled.wait()

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
        finally:
            self._run = self._task = None


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


def _nothing_measured() -> NothingMeasuredError:
    return NothingMeasuredError("interrupted before there was any traffic; nothing was measured")
