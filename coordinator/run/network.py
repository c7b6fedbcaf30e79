"""A run of network tests: the interface of its kinds, and the player for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from coordinator.record.header import Plan
from coordinator.record.network import Kept
from coordinator.run.api import Stage
from coordinator.run.course import Course
from loadgen.host.listeners import servers_here
from loadgen.measure.forwarding import Passage
from loadgen.measure.throughput import ProbeResult

P = TypeVar("P", bound=Plan)
P_contra = TypeVar("P_contra", contravariant=True)
T = TypeVar("T", bound=ProbeResult | Passage)

NOT_KNOWN = (0.0, "")
"""Use of the cores by other processes when it was not measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkMeasured(Generic[T]):
    """The measurements of a run of network tests.

    `tests` are the finished tests, in order.  `others` is the share (0..1) of this end's cores that other processes
    used in the table cell that was disturbed most, and the name of the process with the largest share.  `problems` are
    sentences that say why the run ended before its last test.
    """

    tests: Sequence[T]
    others: tuple[float, str] = NOT_KNOWN
    problems: tuple[str, ...] = ()


class Tests(Protocol[P_contra, T]):
    """The tests of one kind of network run."""

    def title(self, plan: P_contra) -> str:
        """Return the title of the run, one line."""

    def steps(self, plan: P_contra) -> int:
        """Return the number of tests of `plan`."""

    def total_ns(self, plan: P_contra) -> int:
        """Return the time that all tests take by the plan."""

    def far_ends(self, plan: P_contra) -> Sequence[tuple[str, int]]:
        """Return host and port of each far end that this run does not start."""

    async def cross(self, plan: P_contra, course: Course[T]) -> None:
        """Build the network, play all tests on the course, and take the network down."""


class NetworkPlayer(Generic[P, T]):
    """Plays the tests of a plan, one after the other."""

    def __init__(self, tests: Tests[P, T]) -> None:
        self._tests = tests
        self._course: Course[T] | None = None

    @property
    def interrupted(self) -> bool:
        """Whether the user stopped the run."""
        return self._course is not None and self._course.interrupted

    def interrupt(self) -> bool:
        """Break off the running test and play no more; returns False while no test was ever played."""
        return self._course is not None and self._course.interrupt()

    async def play(self, stage: Stage[P]) -> NetworkMeasured[T]:
        """Play all tests.  Raises LoadgenError when the first test cannot be played."""
        plan, tests = stage.plan, self._tests
        servers = await asyncio.to_thread(servers_here, tests.far_ends(plan))
        with stage.around.view as view:
            course = self._course = Course(
                title=tests.title(plan),
                steps=tests.steps(plan),
                total_ns=tests.total_ns(plan),
                on_progress=view.update,
                keep=lambda test: stage.writer.append([Kept(test)]),
                servers=servers,
            )
            await tests.cross(plan, course)
        return NetworkMeasured(
            tests=tuple(course.tests),
            others=course.others,
            problems=course.problems,
        )
