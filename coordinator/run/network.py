"""A run of network tests: what its kinds supply, and the player that all of them share."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from coordinator.record.header import Plan
from coordinator.record.network import Kept
from coordinator.run.api import Stage
from coordinator.run.course import Course
from loadgen.measure.forwarding import Passage
from loadgen.measure.throughput import ProbeResult

P = TypeVar("P", bound=Plan)
P_contra = TypeVar("P_contra", contravariant=True)
T = TypeVar("T", bound=ProbeResult | Passage)

NOT_KNOWN = (0.0, "")
"""What other processes used of the cores, where nobody measured that, or a server that runs here would be counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkMeasured(Generic[T]):
    """What a run of network tests measured.

    `tests` are those that were played to their end, in order.  `others` is the share (0..1) of this machine's cores
    that other processes used while tests ran, and the name of the greatest user.  `problems` are sentences that say
    why the run ended before its last test.
    """

    tests: Sequence[T]
    others: tuple[float, str] = NOT_KNOWN
    problems: tuple[str, ...] = ()


class Tests(Protocol[P_contra, T]):
    """The tests of a kind of network run."""

    def title(self, plan: P_contra) -> str:
        """What is run, in one line."""

    def steps(self, plan: P_contra) -> int:
        """The number of tests."""

    def total_ns(self, plan: P_contra) -> int:
        """The time that all tests take by the plan."""

    def served_here(self, plan: P_contra) -> bool:
        """Whether a process that this run did not start serves on this machine.  May take seconds to resolve names."""

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
        """Break off the running test and play no more; False while no test was ever played."""
        return self._course is not None and self._course.interrupt()

    async def play(self, stage: Stage[P]) -> NetworkMeasured[T]:
        """Play all tests.  Raises LoadgenError when the first one cannot be played."""
        plan, tests = stage.plan, self._tests
        served_here = await asyncio.to_thread(tests.served_here, plan)
        with stage.around.view as view:
            course = self._course = Course(
                title=tests.title(plan),
                steps=tests.steps(plan),
                total_ns=tests.total_ns(plan),
                on_progress=view.update,
                keep=lambda test: stage.writer.append([Kept(test)]),
            )
            await tests.cross(plan, course)
        return NetworkMeasured(
            tests=tuple(course.tests),
            # A server that runs here without us cannot be told from any other process.
            others=NOT_KNOWN if served_here else course.others,
            problems=course.problems,
        )
