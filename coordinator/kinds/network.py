"""The common base of the kinds `iperf` and `forward`."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from coordinator.fleet.choice import FleetChoice
from coordinator.output.terminal.live import View
from coordinator.output.terminal.network_live import open_network_view
from coordinator.record.header import Header, Plan
from coordinator.run.api import Around, Played, Player
from coordinator.run.course import Course
from coordinator.run.network import NetworkMeasured, NetworkPlayer
from loadgen.measure.forwarding import Passage
from loadgen.measure.throughput import ProbeResult

P = TypeVar("P", bound=Plan)
T = TypeVar("T", bound=ProbeResult | Passage)
R = TypeVar("R")


class NetworkKind(abc.ABC, Generic[P, T, R]):
    """A kind of run whose tests are played one after the other.  See coordinator.run.network.Tests."""

    name: str

    @abc.abstractmethod
    def title(self, plan: P) -> str:
        """Return the title of the run, one line."""

    @abc.abstractmethod
    def steps(self, plan: P) -> int:
        """Return the number of tests of `plan`."""

    @abc.abstractmethod
    def total_ns(self, plan: P) -> int:
        """Return the time that all tests take by the plan."""

    @abc.abstractmethod
    def far_ends(self, plan: P) -> Sequence[tuple[str, int]]:
        """Return host and port of each far end that this run does not start."""

    @abc.abstractmethod
    async def cross(self, plan: P, course: Course[T]) -> None:
        """Build the network, play all tests on the course, and take the network down."""

    @abc.abstractmethod
    def judge(self, played: Played[P, NetworkMeasured[T]]) -> R:
        """Return the result of a run."""

    def prepare(self, plan: P, around: Around) -> None:
        """Do what must be done before the first test."""

    def settle(self, plan: P, fleet: FleetChoice | None) -> tuple[P, tuple[str, ...]]:
        """Return the plan unchanged, because nothing in it depends on this machine."""
        return plan, ()

    def player(self, plan: P, fleet: FleetChoice | None, around: Around) -> Player[P, NetworkMeasured[T]]:
        """Return a player of all tests."""
        self.prepare(plan, around)
        return NetworkPlayer(self)

    def rows(self, played: Played[P, NetworkMeasured[T]]) -> NDArray[np.void] | None:
        """Return None: network runs have no connections to list."""
        return None

    def restore(self, header: Header[P], measured: Iterable[T]) -> Played[P, NetworkMeasured[T]]:
        """Return the tests in the record of an unfinished run.  Such a record does not say who else used the cores."""
        return Played(header=header, measured=NetworkMeasured(tests=tuple(measured)), interrupted=True)

    def open_view(self, console: Console) -> View[Any]:
        """Return the live view: one line for each finished test, and the running test."""
        return open_network_view(console)
