"""The options --plan, --replay and --print-plan: the values from which a command's options start, and how its plan is
printed.

A plan file is TOML: the fields of the plan, and a table [fleet] when load machines other than this one are chosen.
Options on the command line override the values of the file or the record.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

from coordinator.cli.fleet_plan import choice_from_record, choice_from_table, choice_to_table
from coordinator.cli.panels import option
from loadgen.model.errors import PlanError
from loadgen.model.plain import made, to_plain
from loadgen.model.toml import parse_toml

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from coordinator.fleet.choice import FleetChoice

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T", bound="DataclassInstance")
P = TypeVar("P")

_PANEL = "Plan"
_FLEET = "fleet"

_OPTIONS = (
    option(
        "--plan",
        "plan_file",
        type=click.Path(path_type=Path, dir_okay=False),
        panel=_PANEL,
        help="Start from the plan in a TOML file, as --print-plan prints it; other options override it.",
    ),
    option(
        "--replay",
        type=click.Path(path_type=Path),
        metavar="RUN",
        panel=_PANEL,
        help="Start from the plan of a record, to repeat that run; other options override it.",
    ),
    option("--print-plan", is_flag=True, panel=_PANEL, help="Print the plan as TOML and do not run it."),
)


class Plan(Protocol):
    """The method that every plan has."""

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain data, from which the plan can be read again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """The values from which a command's options start: a plan file, a record, or nothing.

    `data` are the plan fields that are set there, as plain data.  `fleet` reads the load machines, and raises PlanError
    when they cannot be restored; None when there are none.  `name` is the name for error messages; "" for nothing.
    """

    data: Mapping[str, Any] = field(default_factory=dict)
    fleet: Callable[[], FleetChoice] | None = None
    name: str = ""

    def sets(self, name: str) -> bool:
        """Whether the file or the record sets this field of the plan."""
        return name in self.data

    def read(self, from_dict: Callable[[dict[str, Any]], P], **changes: Any) -> P:
        """Return the plan from these fields, overridden by those of `changes` that are not None.

        Raises PlanError that names the field, and the file when the file has the mistake.
        """
        given = {name: value for name, value in changes.items() if value is not None}
        changed = {name: value if made(value) else to_plain(value) for name, value in given.items()}
        try:
            return from_dict({**self.data, **changed})
        except PlanError as error:
            raise (self._named(error) if self._is_wrong(from_dict, error) else error) from None

    def _is_wrong(self, from_dict: Callable[[dict[str, Any]], P], error: PlanError) -> bool:
        """Whether the file or the record itself has this mistake, without any option."""
        try:
            from_dict(dict(self.data))
        except PlanError as own:
            return own.message == error.message
        return False

    def choice(self) -> FleetChoice | None:
        """Return the load machines; None when the file or the record names none.

        Raises PlanError that names the file.
        """
        try:
            return self.fleet() if self.fleet else None
        except PlanError as error:
            raise self._named(error) from error

    def _named(self, error: PlanError) -> PlanError:
        return PlanError(f"{self.name}: {error.message}", hint=error.hint) if self.name else error


def plan_options(command: F) -> F:
    """Add --plan, --replay and --print-plan to a command."""
    for add_option in reversed(_OPTIONS):
        command = add_option(command)
    return command


def start_from(kind: str, plan_file: Path | None, replay: Path | None, *, fleet: bool) -> Start:
    """Return the values from which the options of `loadgen KIND` start; `fleet` says whether that command takes load
    machines.

    Raises PlanError, in one line, when the file or the record cannot be read or is of another kind.
    """
    if plan_file and replay:
        raise PlanError("--plan and --replay are both given", hint="give one of them")
    if replay:
        return _recorded(kind, replay, fleet=fleet)
    return _written(plan_file, fleet=fleet) if plan_file else Start()


def _written(plan_file: Path, *, fleet: bool) -> Start:
    data = _toml(plan_file)
    table = data.pop(_FLEET, None) if fleet else None
    choice = None if table is None else lambda: choice_from_table(table)
    return Start(data=data, fleet=choice, name=str(plan_file))


def _toml(file: Path) -> dict[str, Any]:
    try:
        return parse_toml(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise PlanError(f"the plan {file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise PlanError(f"{file} is not TOML: {error}") from error


def _recorded(kind: str, run: Path, *, fleet: bool) -> Start:
    from coordinator.record.reader import load
    from coordinator.record.writer import RUN

    record = load(run)
    file, document, found = record.path / RUN, record.document, record.header.kind
    command = found.partition("-")[0]  # of `spec-sweep`: spec
    if record.is_of_runs and command == kind != found:  # a kind of its own has the plan of all its runs
        raise PlanError(f"{run} is a record of several runs", hint=f"replay one of the directories in {run}")
    if command != kind:
        raise PlanError(f"{run} is a record of loadgen {command}", hint=f"replay it with loadgen {command} --replay")
    plan = document.get("plan")
    if not isinstance(plan, dict):
        raise PlanError(f"{file} is damaged: plan must be a table, got {plan!r}")
    machines = document.get(_FLEET) if fleet else None
    choice = None if machines is None else lambda: choice_from_record(machines)
    return Start(data=plan, fleet=choice, name=str(file))


def plan_text(plan: Plan, choice: FleetChoice | None = None, *, comment: str = "") -> str:
    """Return the plan and its load machines as TOML for --plan, after `comment` (one line)."""
    import tomli_w

    table = choice_to_table(choice) if choice else {}
    data = {**plan.to_dict(), **({_FLEET: table} if table else {})}
    return (f"# {comment}\n" if comment else "") + tomli_w.dumps(data)


def show_plan(plan: Plan, choice: FleetChoice | None = None, *, comment: str = "") -> int:
    """Print :func:`plan_text` on stdout; returns the exit code."""
    from coordinator.output.streams import escaped, print_text

    text = plan_text(plan, choice, comment=comment)
    if any("\ud800" <= char <= "\udfff" for char in text):  # as Python holds a byte that is not text
        raise PlanError("the plan holds a name that is not UTF-8, which TOML cannot hold", hint="rename that file")
    print_text(escaped(text, sys.stdout) if sys.stdout else text)
    return 0


def override(value: T, **changes: Any) -> T:
    """Return `dataclasses.replace` with the changes that are not None."""
    given = {name: new for name, new in changes.items() if new is not None}
    return dataclasses.replace(value, **given) if given else value  # a plan may have 100,000 requests to check
