"""Options that say which machines make the load: the same for every command that plays some."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click

from coordinator.cli.options import Parsed
from coordinator.fleet.choice import FleetChoice
from deploy.hosts.inventory import hosts as parse_hosts
from loadgen.model.address import parse_address
from loadgen.model.errors import PlanError
from loadgen.model.plan import OnLoss

F = TypeVar("F", bound=Callable[..., Any])

_PANEL = "Load machines"
_NAMES = ("hosts", "scheduler", "listen", "workers", "certs", "coordinator")

hosts_option = click.option(
    "--hosts",
    type=Parsed("hosts", parse_hosts),
    metavar="HOST,...|FILE",
    panel=_PANEL,
    help="Make the load from these machines, by SSH: a,user@b:2222,c or TOML with [[host]] tables.  "
    "[default: from this machine]",
)
coordinator_option = click.option(
    "--coordinator",
    metavar="ADDRESS",
    panel=_PANEL,
    help="Address at which the machines of --hosts reach this one.  [default: as SSH does]",
)

scheduler_option = click.option(
    "--scheduler",
    metavar="ADDRESS",
    panel=_PANEL,
    help="Make the load from the workers of a Dask cluster of yours; its security is as Dask's settings say.",
)

_OPTIONS = (
    hosts_option,
    coordinator_option,
    scheduler_option,
    click.option(
        "--listen",
        type=Parsed("address", parse_address),
        metavar="ADDRESS:PORT",
        panel=_PANEL,
        help="Make the load from workers that join here (loadgen worker --join).",
    ),
    click.option(
        "--workers",
        type=click.IntRange(min=1),
        metavar="N",
        panel=_PANEL,
        help="How many workers to wait for, with --listen or --scheduler.  [default: 1]",
    ),
    click.option(
        "--certs",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIRECTORY",
        panel=_PANEL,
        help="Certificates for --listen, of loadgen fleet certificates.",
    ),
    click.option(
        "--on-loss",
        type=click.Choice([policy.value for policy in OnLoss]),
        panel=_PANEL,
        help="When a machine is lost, or missing from the start: go on without it, or stop.  [default: degrade]",
    ),
)


def fleet_options(command: F) -> F:
    """Add them all."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def take_choice(given: dict[str, Any], engines: int | None) -> FleetChoice:
    """The choice among what was given, whose options are taken out of it.  Raises PlanError when it makes no sense."""
    own = {name: given.pop(name) for name in _NAMES}
    ways = [f"--{name}" for name in ("hosts", "scheduler", "listen") if own[name]]
    if len(ways) > 1:
        raise PlanError(f"{' and '.join(ways)} are given together", hint="load comes from one of them")
    if own["certs"] and not own["listen"]:
        raise PlanError("--certs is given without --listen", hint="only workers that join by hand need it")
    if own["listen"] and not own["certs"]:
        raise PlanError("--listen needs --certs", hint="loadgen fleet certificates DIRECTORY --workers N makes them")
    if own["workers"] and not (own["listen"] or own["scheduler"]):
        raise PlanError("--workers is given without --listen or --scheduler")
    if own["coordinator"] and not own["hosts"]:
        raise PlanError("--coordinator is given without --hosts")
    chosen = {name: value for name, value in own.items() if value is not None}
    return FleetChoice(engines=engines or 0, **chosen)
