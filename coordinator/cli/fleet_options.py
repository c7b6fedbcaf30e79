"""Options about load machines, the same for every command that uses load machines."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from coordinator.cli.options import DIRECTORY, Parsed
from coordinator.cli.panels import option
from coordinator.cli.plan_options import Start, override
from deploy.hosts.inventory import hosts as parse_hosts
from loadgen.model.errors import PlanError
from loadgen.model.plan import OnLoss
from loadgen.model.port_range import parse_ports

if TYPE_CHECKING:
    from coordinator.fleet.choice import FleetChoice

F = TypeVar("F", bound=Callable[..., Any])

_PANEL = "Load machines"
_WAYS = ("hosts", "scheduler", "listen")
_NAMES = (*_WAYS, "workers", "certs", "coordinator", "ports")

hosts_option = option(
    "--hosts",
    type=Parsed("hosts", parse_hosts),
    metavar="HOST,...|FILE",
    panel=_PANEL,
    help="Make the load from these machines, by SSH: a,user@b:2222,c[01-20], or a TOML file with [[host]] tables.  "
    "[default: from this machine]",
)
coordinator_option = option(
    "--coordinator",
    metavar="ADDRESS",
    panel=_PANEL,
    help="Address at which the machines of --hosts reach this machine.  [default: the address that SSH uses]",
)

ports_option = option(
    "--ports",
    type=Parsed("ports", parse_ports),
    metavar="FIRST-LAST",
    panel=_PANEL,
    help="Ports at which this machine and those of --hosts listen for each other, such as a firewall lets through.  "
    "[default: any]",
)

scheduler_option = option(
    "--scheduler",
    metavar="ADDRESS",
    panel=_PANEL,
    help="Make the load from the workers of an existing Dask cluster. Dask's own settings secure it.",
)


def _parse_listen(text: str) -> tuple[str, int]:
    """Return host and port of the option's text; imports the parser only then, so that help starts faster."""
    from coordinator.fleet.listening import parse_listen

    return parse_listen(text)


_OPTIONS = (
    hosts_option,
    coordinator_option,
    ports_option,
    scheduler_option,
    option(
        "--listen",
        type=Parsed("address", _parse_listen),
        metavar="ADDRESS:PORT",
        panel=_PANEL,
        help="Make the load from workers that join at this address (loadgen worker --join); *:PORT listens at all "
        "addresses of this machine.",
    ),
    option(
        "--workers",
        type=click.IntRange(min=1),
        metavar="N",
        panel=_PANEL,
        help="Number of workers to wait for, with --listen or --scheduler; at least 1.  [default: 1]",
    ),
    option(
        "--certs",
        type=DIRECTORY,
        metavar="DIRECTORY",
        panel=_PANEL,
        help="Certificates for --listen, made by loadgen fleet certificates.",
    ),
    option(
        "--on-loss",
        type=click.Choice([policy.value for policy in OnLoss]),
        panel=_PANEL,
        help="What to do when a machine is lost, or missing from the start: continue without it (degrade), or stop "
        "(abort).  [default: degrade]",
    ),
)


def fleet_options(command: F) -> F:
    """Add all options about load machines to a command."""
    for add_option in reversed(_OPTIONS):
        command = add_option(command)
    return command


def take_choice(given: dict[str, Any], engines: int | None, start: Start) -> FleetChoice:
    """Return the load machines that the options choose; without such options, those of the plan or the record.

    Removes the options from `given`.  `engines` is the number on each machine; None takes the number of the plan, or
    one for each core.  Raises PlanError for options that cannot be combined, and for machines that cannot be restored.
    """
    from coordinator.fleet.choice import FleetChoice

    own = {name: given.pop(name) for name in _NAMES}
    ways = [f"--{name}" for name in _WAYS if own[name]]
    if len(ways) > 1:
        raise PlanError(f"{' and '.join(ways)} are given together", hint="give one of them")
    base = FleetChoice() if ways else start.choice() or FleetChoice()
    choice = override(base, engines=engines, **own)
    if choice.certs and not choice.listen:
        raise PlanError("--certs is given without --listen", hint="only workers that join by hand need certificates")
    if choice.listen and not choice.certs:
        raise PlanError(
            "--listen needs --certs", hint="make them with loadgen fleet certificates DIRECTORY --workers N"
        )
    if own["workers"] and not (choice.listen or choice.scheduler):
        raise PlanError(
            "--workers is given without --listen or --scheduler", hint="add one of them, or leave out --workers"
        )
    if own["coordinator"] and not choice.hosts:
        raise PlanError("--coordinator is given without --hosts", hint="add --hosts, or leave out --coordinator")
    if own["ports"] and not choice.hosts:
        raise PlanError(
            "--ports is given without --hosts",
            hint="with --listen, the address has the coordinator's port, and loadgen worker has --ports",
        )
    return choice


def check_installed(choice: FleetChoice) -> None:
    """Raise PlanError when other machines are chosen, but the packages to reach them are missing."""
    from coordinator.fleet.choice import WayKind
    from loadgen.agent.extra import require_fleet

    if choice.way is not WayKind.LOCAL:
        require_fleet("making load from other machines")


def engines_here(choice: FleetChoice, engines: int) -> int:
    """The number of engine processes on this machine: `engines` when it makes the load, 0 when others do."""
    from coordinator.fleet.choice import WayKind

    return engines if choice.way is WayKind.LOCAL else 0
