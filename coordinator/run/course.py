"""Plays network tests one after the other, until all are played, one test fails, or the user interrupts the run."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Collection, Hashable
from typing import Generic, TypeVar

from coordinator.ends import OnTick, ProbeEnd, StoppedError
from coordinator.output.terminal.progress import OnProgress, Progress
from loadgen.host.neighbours import OtherUse, QuietWatch
from loadgen.measure.forwarding import Passage
from loadgen.measure.throughput import UNKNOWN, ProbeResult, Tick
from loadgen.model.errors import LoadgenError
from loadgen.model.probe import Direction, Kind
from loadgen.model.units import NS_PER_S

T = TypeVar("T", bound=ProbeResult | Passage)


class Course(Generic[T]):
    """The tests of one run.

    `tests` are the finished tests, in order; `keep` is called with each of them, for the record.  `servers` are
    processes of this machine at the far ends that this run did not start; None when they cannot be told from others.
    `interrupted` and `problems` say why the course is `over` before its last test.
    """

    def __init__(
        self,
        *,
        title: str,
        steps: int,
        total_ns: int,
        on_progress: OnProgress,
        keep: Callable[[T], None],
        servers: Collection[int] | None = (),
    ) -> None:
        self._title = title
        self._steps = steps
        self._total_s = total_ns / NS_PER_S
        self._on_progress = on_progress
        self._keep = keep
        self._servers = servers
        self._began_s = time.monotonic()
        self._step = 0
        self._label = ""
        self._kind = Kind.STREAM
        self._ticks: tuple[Tick, ...] = ()
        self._finished: tuple[tuple[str, float], ...] = ()
        self._running: ProbeEnd | None = None
        self._uses: dict[Hashable, list[OtherUse]] = {}
        self.tests: list[T] = []
        self.interrupted = False
        self.problems: tuple[str, ...] = ()

    @property
    def over(self) -> bool:
        """Whether no more tests follow."""
        return self.interrupted or bool(self.problems)

    @property
    def others(self) -> tuple[float, str]:
        """The share (0..1) of the probe's cores that other processes used, and the greatest user.

        It is the share in the table cell that was disturbed most, because tests of other cells would hide a
        disturbance.  0.0 and "" if it is not known.
        """
        cells = [
            (sum(use.used_ns for use in uses) / available_ns, max(uses, key=lambda use: use.share).most)
            for uses in self._uses.values()
            if (available_ns := sum(use.wall_ns * use.cores for use in uses))
        ]
        return max(cells, default=(0.0, ""))

    def prepare(self, what: str) -> None:
        """Show a step that prepares the next test."""
        self._label = what
        self._tell()

    def interrupt(self) -> bool:
        """Break off the running test and play no more; returns False while no test was ever played."""
        if not self._step:
            return False
        if self._running is not None:
            if self.interrupted:  # the probe was asked before and did not stop
                self._running.kill()
            self._running.stop()
        self.interrupted = True
        return True

    async def play(self, label: str, kind: Kind, probe: ProbeEnd, once: Callable[[OnTick], Awaitable[T]]) -> None:
        """Play one test by calling `once`; `probe` is the process that plays the test.

        Raises LoadgenError when the first test fails, because then there is nothing to judge.
        """
        self._step, self._label, self._kind, self._ticks = self._step + 1, label, kind, ()
        self._running = probe
        watch = QuietWatch(lambda: [os.getpid()])
        if self._servers is not None:
            watch.begin([probe.pid], self._servers)
        try:
            self._tell()
            test = await once(self._on_tick)
        except StoppedError:
            return
        except LoadgenError as error:
            if self.interrupted:
                return
            if not self.tests:
                raise
            self.fail(f"{label}: {error.message}")
            return
        finally:
            self._running = None
        if (use := watch.end()) is not None:
            self._uses.setdefault(_cell(test), []).append(use)
        self.tests.append(test)
        self._keep(test)
        result = test.result if isinstance(test, Passage) else test
        if result.cut and not self.interrupted:
            self.fail(f"{label}: {result.cut}")
        self._finish(result)

    def fail(self, problem: str) -> None:
        """Stop the course because of `problem`, a sentence for the report."""
        self.problems = (*self.problems, problem)

    def _finish(self, result: ProbeResult) -> None:
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
                notices=(),
            )
        )


def _cell(test: ProbeResult | Passage) -> Hashable:
    """The table cell of a test: repeats of a test belong to the same cell."""
    return (test.link, test.mode, test.result.test) if isinstance(test, Passage) else test.test
