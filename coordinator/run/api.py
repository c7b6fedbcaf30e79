"""What the frame of a run gives, what a kind of run supplies, and the value that the judge gets."""

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
    """What a run needs of the world outside the plan.

    `cache` is the directory that keeps file sets between runs.  `say` shows the user one line of text while the run
    is prepared.  `progress` is told (done, total) while a file set is made.  `view` shows the run while it goes on;
    what the view shows is known to the kind of run that opened it (:meth:`Kind.open_view`).  `early` are engines that
    were started already; a run whose load comes from this machine uses them first.
    """

    cache: Path
    say: Callable[[str], None]
    progress: Callable[[int, int], None]
    view: View[Any]
    early: EarlyEngines | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Played(Generic[P, M]):
    """One run as it was played: all that its judge may know.

    `header` says what was asked for and on which machines it ran.  `measured` is what the run measured (TapeMeasured
    or NetworkMeasured).  `interrupted` says whether the user stopped the run.  `notes` are sentences for the report.
    """

    header: Header[P]
    measured: M
    interrupted: bool
    notes: tuple[str, ...] = ()


class Stage(Generic[P]):
    """A run under way: its header, its record, and what has to be closed when the run is over.

    `notices` are sentences that the user should know; they are shown live and become notes of the result.
    Whatever enters `stack` is closed when the traffic is over, last in first out.
    """

    def __init__(self, header: Header[P], writer: RecordWriter, stack: AsyncExitStack, around: Around) -> None:
        self.header = header
        self.writer = writer
        self.stack = stack
        self.around = around
        self.notices: list[str] = []

    @property
    def plan(self) -> P:
        """The plan that is played."""
        return self.header.plan

    def learn(self, **known: Any) -> None:
        """Put fields into the header that have become known, and rewrite the unfinished record with them."""
        self.header = dataclasses.replace(self.header, **known)
        self.writer.rewrite(unfinished(self.header))


class Player(Protocol[P, M_co]):
    """Plays one run on a stage."""

    async def play(self, stage: Stage[P]) -> M_co:
        """Bring up what the run needs, play it, and return what was measured.

        Raises LoadgenError only before traffic has flowed.
        """

    def interrupt(self) -> bool:
        """Stop the traffic so that the run ends early; False while there is no traffic to stop."""

    @property
    def interrupted(self) -> bool:
        """Whether :meth:`interrupt` stopped the run."""


class Kind(Protocol[P, M, R_co]):
    """A kind of run: `spec`, `http`, `iperf`, `forward`.  Everything that is not here is the same for all kinds."""

    @property
    def name(self) -> str:
        """The name of the kind in records and of its command."""

    def settle(self, plan: P, fleet: FleetChoice | None) -> tuple[P, tuple[str, ...]]:
        """The plan with what depends on this machine filled in, and notices for the user.

        Raises PlanError when this machine cannot play the plan.
        """

    def player(self, plan: P, fleet: FleetChoice | None, around: Around) -> Player[P, M]:
        """A player for one run of a settled plan."""

    def judge(self, played: Played[P, M]) -> R_co:
        """The result of a run.  Pure."""

    def rows(self, played: Played[P, M]) -> NDArray[np.void] | None:
        """What each connection did in each window (CONNECTION_DTYPE), for the record; None if the kind has no rows."""

    def restore(self, header: Header[P], measured: Iterable[Any]) -> Played[P, M]:
        """A run that did not write its end, from what its record's intervals hold.

        Raises ValueError when that cannot be of the header's plan.
        """

    def open_view(self, console: Console) -> View[Any]:
        """The live view on a terminal, or plain lines elsewhere."""
