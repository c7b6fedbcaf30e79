"""The facts about a run before it begins, and the common fields of all kinds of results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from coordinator.record.environment import Environment
from coordinator.record.fleet import FleetRecord
from loadgen.model.errors import ExitCode, LoadgenError
from loadgen.model.target import Target
from loadgen.verdict.result import Verdict

SCHEMA_VERSION = 1
"""Raised when an older reader would misread a new document."""


UNFINISHED = "unfinished"
"""The verdict in the document of a run that has not ended, or that was killed."""


class RecordError(LoadgenError):
    """A record cannot be written, or cannot be read as one."""


class Plan(Protocol):
    """The plan of a run: everything that was requested of it."""

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain data for JSON and TOML."""


class Result(Protocol):
    """The common fields of the results of all kinds of runs."""

    @property
    def verdict(self) -> Verdict:
        """The answer of the run."""

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the command."""

    @property
    def reasons(self) -> Sequence[str]:
        """The sentences behind the verdict, most important first."""


P = TypeVar("P", bound=Plan, covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header(Generic[P]):
    """The facts about a run before it begins; `P` is the type of its plan.

    `kind` is a key of :data:`coordinator.record.catalog.KINDS`.  `started_at` is ISO 8601 with a zone.  `targets` are
    the servers that are driven, with their real ports; `()` for a network run.  `fleet` is None for a network run,
    and has no machines until they are reached.  With `shows_secrets`, the document holds the plan as it is; otherwise
    it holds the plan without secrets (loadgen.model.secrets).
    """

    kind: str
    started_at: str
    plan: P
    environment: Environment
    targets: tuple[Target, ...] = ()
    fleet: FleetRecord | None = None
    shows_secrets: bool = field(default=False, compare=False)

    @property
    def own_fleet(self) -> FleetRecord:
        """The fleet of a run on load machines.  Raises ValueError for a run that has none by its kind."""
        if self.fleet is None:
            raise ValueError(f"a run of kind {self.kind} has no fleet")
        return self.fleet
