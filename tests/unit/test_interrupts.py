"""A signal while a run waits for another program that hangs."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

import pytest

from coordinator.run.interrupts import Interrupts, NothingMeasuredError
from deploy.shield import to_its_end
from loadgen.model.errors import TargetError

HANGS = "the container engine has started vm01"


class Run:
    """A run that does `work`, and that has no traffic to stop unless it is `playing`."""

    def __init__(self, work: Callable[[], Awaitable[str]], *, playing: bool = False) -> None:
        self.work = work
        self.playing = playing

    async def run(self) -> str:
        return await self.work()

    def interrupt(self) -> bool:
        return self.playing


async def hang() -> str:
    await to_its_end(asyncio.Event().wait(), HANGS)
    return "unreachable"


def play(run: Run) -> tuple[str, list[str]]:
    """Play the run, with a signal soon, and another one as the answer to a line."""
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        os.kill(os.getpid(), signal.SIGINT)

    async def scenario() -> str:
        with Interrupts(say) as interrupts:
            asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), signal.SIGINT)
            return await asyncio.wait_for(interrupts.during(run), 30)

    return asyncio.run(scenario()), said


def test_a_second_signal_gives_up_what_a_start_waits_for() -> None:
    with pytest.raises(NothingMeasuredError):
        play(Run(hang))


def test_giving_up_keeps_the_result_of_a_run_that_hangs_at_its_end() -> None:
    async def closing() -> str:
        for _ in range(2):  # each part of the end asks the same engine
            try:
                await hang()
            except asyncio.CancelledError:
                continue
        return "the result"

    assert play(Run(closing, playing=True)) == (
        "the result",
        [f"stopping: waiting until {HANGS}.  Ctrl-C again ends the run without that"],
    )


def test_what_a_cancelled_run_could_not_remove_is_said_and_it_was_interrupted_all_the_same() -> None:
    async def stuck() -> str:
        try:
            await asyncio.Event().wait()
        finally:
            raise TargetError("cgroup x stays", hint="rmdir x")

    with pytest.raises(NothingMeasuredError, match="nothing was measured; cgroup x stays") as failed:
        play(Run(stuck))
    assert (failed.value.hint, failed.value.exit_code) == ("rmdir x", 130)
