"""One test after the other, shown as they go on, until all are done, one fails, or the user has had enough."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from coordinator.network.ends import OnTick, ProbeEnd, StoppedError
from coordinator.output.terminal.progress import OnProgress, Progress
from loadgen.host.neighbours import OtherUse, QuietWatch
from loadgen.measure.throughput import UNKNOWN, ProbeResult, Tick
from loadgen.model.errors import LoadgenError
from loadgen.model.probe import Direction, Kind
from loadgen.model.units import NS_PER_S

T = TypeVar("T")


class Course:
    """`interrupted` and `problems` say why it is `over` before all of its tests were played.

    `notices` are told with the progress; they may be added to while it goes on.
    """

    def __init__(self, *, title: str, steps: int, total_ns: int, on_progress: OnProgress) -> None:
        self._title = title
        self._steps = steps
        self._total_s = total_ns / NS_PER_S
        self._on_progress = on_progress
        self._began_s = time.monotonic()
        self._step = 0
        self._label = ""
        self._kind = Kind.STREAM
        self._ticks: tuple[Tick, ...] = ()
        self._finished: tuple[tuple[str, float], ...] = ()
        self._running: ProbeEnd | None = None
        self._uses: list[OtherUse] = []
        self.notices: tuple[str, ...] = ()
        self.interrupted = False
        self.problems: tuple[str, ...] = ()

    @property
    def over(self) -> bool:
        """Whether no more tests are to be played."""
        return self.interrupted or bool(self.problems)

    @property
    def others(self) -> tuple[float, str]:
        """What processes of others used of our cores while tests were running: the share, and the greatest user."""
        uses = self._uses
        available_ns = sum(use.wall_ns * use.cores for use in uses)
        if not available_ns:
            return 0.0, ""
        return sum(use.used_ns for use in uses) / available_ns, max(uses, key=lambda use: use.share).most

    def prepare(self, what: str) -> None:
        """Say what is done before the next test."""
        self._label = what
        self._tell()

    def interrupt(self) -> bool:
        """Break off the running test and play no more; False while nothing was ever played."""
        if not self._step:
            return False
        if self._running is not None:
            if self.interrupted:  # asked before, and it did not obey
                self._running.kill()
            self._running.stop()
        self.interrupted = True
        return True

    async def play(self, label: str, kind: Kind, probe: ProbeEnd, once: Callable[[OnTick], Awaitable[T]]) -> T | None:
        """What `once` measures with `probe`, a test of this kind; None when the course is over instead.

        Raises LoadgenError when the very first test fails: then there is nothing to judge.
        """
        self._step, self._label, self._kind, self._ticks = self._step + 1, label, kind, ()
        self._running = probe
        watch = QuietWatch(lambda: [os.getpid()])
        watch.begin([probe.pid])
        try:
            self._tell()
            measured = await once(self._on_tick)
        except StoppedError:
            return None
        except LoadgenError as error:
            if self.interrupted:
                return None
            if not self._finished:
                raise
            self.fail(f"{label}: {error.message}")
            return None
        finally:
            self._running = None
        use = watch.end()
        if use is not None:
            self._uses.append(use)
        return measured

    def fail(self, problem: str) -> None:
        """Play no more, because of this."""
        self.problems = (*self.problems, problem)

    def finished(self, result: ProbeResult) -> None:
        """A test is over, and this is what it measured."""
        rate = float(UNKNOWN)
        if result.test.kind is Kind.STREAM:
            rate = sum(result.received_bps(way) for way in (Direction.SEND, Direction.RECEIVE)) / 1e6
        self._finished = (*self._finished, (self._label, rate))
        self._ticks = ()
        self._tell()

    def _on_tick(self, tick: Tick) -> None:
        self._ticks = (*self._ticks, tick)
        self._tell()

    def _tell(self) -> None:
        self._on_progress(
            Progress(
                title=self._title,
                step=self._step,
                steps=self._steps,
                label=self._label,
                kind=self._kind,
                elapsed_s=time.monotonic() - self._began_s,
                total_s=self._total_s,
                ticks=self._ticks,
                finished=self._finished,
                notices=self.notices,
            )
        )
