"""Ctrl-C, and whatever else asks a run to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, Protocol, Self, TypeVar

from loadgen.model.errors import ExitCode, LoadgenError

T = TypeVar("T")
Result = TypeVar("Result", covariant=True)

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class NothingMeasuredError(LoadgenError):
    """The user stopped before there was any traffic to judge."""

    exit_code = ExitCode.INTERRUPTED


class Interruptible(Protocol[Result]):
    """A run."""

    def run(self) -> Coroutine[Any, Any, Result]:
        """From its beginning to its end."""

    def interrupt(self) -> bool:
        """Stop the traffic and judge what there is; False while there is no traffic to stop."""


class Interrupts:
    """Ctrl-C (or SIGTERM, SIGHUP): the first stops a run's traffic, and before there is any, the run itself.

    They are caught for as long as the context lasts, between the points of a sweep too.
    """

    def __init__(self) -> None:
        self._came = False
        self._run: Interruptible[Any] | None = None
        self._task: asyncio.Task[Any] | None = None
        # What is ignored stays so: nohup means it.
        self._numbers = [number for number in _STOP_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]

    def __enter__(self) -> Self:
        for number in self._numbers:
            asyncio.get_running_loop().add_signal_handler(number, self._stop)
        return self

    def __exit__(self, *_: object) -> None:
        for number in self._numbers:
            asyncio.get_running_loop().remove_signal_handler(number)

    def _stop(self) -> None:
        self._came = True
        if self._run is not None and self._task is not None and not self._run.interrupt():
            self._task.cancel()

    async def during(self, run: Interruptible[T]) -> T:
        """The run, stopped when a signal comes.  Raises NothingMeasuredError when that was too early."""
        if self._came:
            raise _nothing_measured()
        task = asyncio.ensure_future(run.run())
        self._run, self._task = run, task
        try:
            return await task
        except asyncio.CancelledError:
            raise _nothing_measured() from None
        finally:
            self._run = self._task = None


def _nothing_measured() -> NothingMeasuredError:
    return NothingMeasuredError("interrupted before there was any traffic; nothing was measured")
