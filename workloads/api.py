"""The interface of workloads: the parts that a run of operation tapes takes from its workload.

A workload turns a plan into data.  It performs no I/O except in :class:`ServerFiles`.  :mod:`workloads.catalog` finds
workloads by name; `tests/contract/test_workload_contract.py` states the laws that each of them keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from loadgen.schedule.optape import OpTape
from loadgen.schedule.timings import Timings
from loadgen.verdict.sessions import Sessions

P_contra = TypeVar("P_contra", contravariant=True)

Progress = Callable[[int, int], None]
"""Called with (parts that are ready, parts in all).  An exception that it raises ends the preparation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counting:
    """The categories in which a workload's operations are counted; the same values as in its tape.

    `kind_shares` are the shares of the operations that the workload intends, by kind; they add up to 1.  `connects` is
    how many operations it intends each TCP connection to carry; None when any number is right.  `unmixed`: the groups
    whose operations do not count for the mix, because their connections were within them when the iteration began.
    `lanes` is how many TCP connections a connection has open at once, and `requests` how many requests an operation is,
    on average.
    """

    kinds: tuple[str, ...]
    groups: tuple[str, ...]
    kind_shares: tuple[float, ...]
    connects: Sessions | None = None
    unmixed: tuple[int, ...] = ()
    lanes: int = 1
    requests: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Sent:
    """The operations that were sent to one server between the two requests of a :class:`ServerCheck`.

    `counts` are int64 of shape (kinds, groups, 3): ok, bad and cut operations.  `complete` is False when an engine
    was lost in that time: the server may then have received operations that are not in `counts`.
    """

    counts: NDArray[np.int64]
    complete: bool


class ServerFiles(Protocol):
    """The content that each server must serve: files below a document root, and an application."""

    @property
    def extent(self) -> str:
        """The number of its parts, as a phrase: `35 directories`."""

    @property
    def size_bytes(self) -> int:
        """The size of all files of one document root."""

    @property
    def proof_path(self) -> str:
        """A path that is answered with status 200 only by a server that has the files."""

    @property
    def app(self) -> str:
        """The application, as `module:function` for `function(docroot, workdir, static) -> aiohttp.web.Application`.

        `docroot` and `workdir` are paths: the files, and a directory that the application may write to.
        `static` (bool) says whether the application serves the files, too.
        """

    @property
    def app_path(self) -> str:
        """A path that is answered with status 200 only where the application runs."""

    def prepare(self, root: Path, progress: Progress) -> int:
        """Make the files that are missing below `root`; returns how many parts were made.

        Raises LoadgenError when `root` cannot be written or has too little space.
        """

    def copy(self, source: Path, root: Path, progress: Progress) -> None:
        """Copy the files below `source`, which are complete, to `root`.  Raises as :meth:`prepare`."""

    def verify(self, root: Path) -> list[str]:
        """Compare every byte below `root`; returns one line for each error that was found."""


class ServerCheck(Protocol):
    """The requests to every server before and after each iteration, and the judgement of the answers."""

    @property
    def name(self) -> str:
        """The name of the check in results: `POST log`."""

    @property
    def before_path(self) -> str:
        """The path that is requested before an iteration; status 200 means that the server is prepared."""

    @property
    def after_path(self) -> str:
        """The path that is requested after an iteration; the body of the reply is judged."""

    def problems(self, body: bytes, sent: Sent) -> list[str]:
        """Compare a server's reply with the requests sent to it; returns the contradictions, [] if there are none.

        Pure; never raises, whatever `body` holds.
        """

    def passed(self, sent: Sequence[Sent]) -> str:
        """The verified facts when no server has a problem, as a phrase; `sent` has one value per server."""


class Workload(Protocol[P_contra]):
    """A workload; its plans have the type `P_contra`."""

    def compile(self, plan: P_contra) -> OpTape:
        """The operations of a plan; equal plans (the seed is part of a plan) give equal tapes."""

    def timings(self, plan: P_contra) -> Timings | None:
        """The length of each reply of the tape, and its starts, without compiling it; None when they are not known."""

    def counting(self, plan: P_contra) -> Counting:
        """The categories of the plan's operations, without compiling it."""

    def connects_per_s(self, plan: P_contra) -> float:
        """The TCP connections that each connection of the plan opens per second; 0.0 where that is unknown."""

    def files(self, plan: P_contra) -> ServerFiles | None:
        """The content that servers must serve; None when the workload has no demands.

        Raises PlanError when no server can hold what the plan needs.
        """

    def check(self, plan: P_contra) -> ServerCheck | None:
        """The requests to servers around each iteration; None when there are none."""
