"""The interfaces of a run: the frame's input to a kind of run, the kind's functions, and the judge's input."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from coordinator.fleet.choice import FleetChoice
from coordinator.output.terminal.live import View
from coordinator.record.document import unfinished
from coordinator.record.header import Header, Plan
from coordinator.record.writer import RecordWriter
from loadgen.agent.children import EarlyEngines

P = TypeVar("P", bound=Plan)
M = TypeVar("M")
R_co = TypeVar("R_co", covariant=True)
M_co = TypeVar("M_co", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """The parts of the environment that a run needs.

    `cache` is the directory that keeps file sets between runs.  `say` shows the user one line of text while the run is
    prepared.  `progress` is called with (done, total) while a file set is made.  `view` is the live view, as the kind
    of run opened it (:meth:`Kind.open_view`).  `early` are engines that were started already; a run whose load comes
    from this machine uses them first.
    """

    cache: Path
    say: Callable[[str], None]
    progress: Callable[[int, int], None]
    view: View[Any]
    early: EarlyEngines | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Played(Generic[P, M]):
    """A finished run: everything that its judge may use.

    `header` says what was asked for and which machines were used.  `measured` is what the run measured (TapeMeasured or
    NetworkMeasured).  `interrupted` says whether the user stopped the run.  `notes` are sentences for the report.
    """

    header: Header[P]
    measured: M
    interrupted: bool
    notes: tuple[str, ...] = ()


class Stage(Generic[P]):
    """A run in progress: its header, its record, and the resources to close when the run is over.

    `notices` are sentences for the user; they are shown live and become notes of the result.  The context managers on
    `stack` are closed after the traffic, in reverse order.  With `ends_early`, the run may be stopped as soon as it is
    certain that it will not conform.
    """

    def __init__(
        self,
        header: Header[P],
        writer: RecordWriter,
        stack: AsyncExitStack,
        around: Around,
        *,
        ends_early: bool = False,
    ) -> None:
        self.header = header
        self.writer = writer
        self.stack = stack
        self.around = around
        self.ends_early = ends_early
        self.notices: list[str] = []

    @property
    def plan(self) -> P:
        """The plan that is played."""
        return self.header.plan

    def learn(self, **known: Any) -> None:
        """Set header fields that have become known, and write them to the unfinished record."""
        self.header = dataclasses.replace(self.header, **known)
        self.writer.rewrite(unfinished(self.header))


class Player(Protocol[P, M_co]):
    """Plays one run on a stage."""

    async def play(self, stage: Stage[P]) -> M_co:
        """Start what the run needs, play the run, and return its measurements.

        Raises LoadgenError only before there was any traffic.
        """

    def interrupt(self) -> bool:
        """Stop the traffic so that the run ends early; False while there is no traffic to stop."""

    @property
    def interrupted(self) -> bool:
        """Whether :meth:`interrupt` stopped the run."""


class Kind(Protocol[P, M, R_co]):
    """A kind of run: `spec`, `http`, `iperf`, `forward`.  Everything else is the same for all kinds."""

    @property
    def name(self) -> str:
        """The name of the kind, in records and as a command."""

    def settle(self, plan: P, fleet: FleetChoice | None) -> tuple[P, tuple[str, ...]]:
        """Fill in the parts of the plan that depend on this machine.  Returns the plan, and notices for the user.

        Raises PlanError when this machine cannot play the plan.
        """

    def player(self, plan: P, fleet: FleetChoice | None, around: Around) -> Player[P, M]:
        """Return a player for one run of a settled plan."""

    def judge(self, played: Played[P, M]) -> R_co:
        """Return the result of a run.  Pure."""

    def rows(self, played: Played[P, M]) -> NDArray[np.void] | None:
        """Return the results of each connection in each window (CONNECTION_DTYPE); None when the kind has none."""

    def restore(self, header: Header[P], measured: Iterable[Any]) -> Played[P, M]:
        """Rebuild a run that did not record its end, from the intervals of its record.

        Raises ValueError when the intervals do not match the header's plan.
        """

    def open_view(self, console: Console) -> View[Any]:
        """Return the live view on a terminal; elsewhere, a view that prints plain lines."""
