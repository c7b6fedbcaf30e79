"""`loadgen isolate`: what antisocial VMs do to the latency of a quiet one."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from coordinator.cli.options import DURATION, SIZE, Parsed, result_options
from coordinator.cli.panels import command, option
from coordinator.cli.plan_options import Start, plan_options, show_plan, start_from
from coordinator.cli.playing import play
from coordinator.cli.vm_limit_options import chosen_limits, vm_limit_options
from coordinator.cli.watch_options import watch_options
from coordinator.output.web.watch import Watch
from deploy.vms.catalog import CONFINED, DRIVERS
from loadgen.model.isolate import DEFAULT_LIMITS, HOGS, Game, Hog, IsolatePlan, parse_hogs
from loadgen.model.plan import Server
from loadgen.model.units import format_duration, format_size

_DEFAULT = IsolatePlan()
_HOGS, _QUIET, _VMS = "Hogs", "Quiet VM", "VMs"


@command()
@option(
    "--hog",
    "hogs",
    type=Parsed("hogs", parse_hogs),
    metavar="HOG[,HOG...]",
    panel=_HOGS,
    help=f"What antisocial VMs do, one after the other: {', '.join(hog.value for hog in Hog)} (idle, which is always "
    f"measured first) or all.  [default: all: {','.join(hog.value for hog in HOGS)}]",
)
@option(
    "--antisocial",
    type=int,
    metavar="N",
    panel=_HOGS,
    help=f"Number of antisocial VMs, 1 to 999.  [default: {_DEFAULT.antisocial}]",
)
@option(
    "--duration",
    type=DURATION,
    panel=_HOGS,
    help="Measured time of each hog, and of the idle case, 1s to 10m.  "
    f"[default: {format_duration(_DEFAULT.measure_ns)}]",
)
@option(
    "--force",
    is_flag=True,
    default=None,
    panel=_HOGS,
    help="Run the hogs cpu, disk and net also with a VM driver that confines nothing: they burden the whole machine.",
)
@option(
    "--keep-memory",
    type=SIZE,
    metavar="SIZE",
    panel=_HOGS,
    help="Available memory below which a hog is ended at once, at least 64M.  "
    f"[default: {format_size(_DEFAULT.keep_memory_bytes)}]",
)
@option(
    "--game",
    type=click.Choice([game.value for game in Game]),
    panel=_QUIET,
    help="Game server; auto takes openarena where it is installed, else builtin, which only answers queries.  "
    f"[default: {_DEFAULT.game.value}]",
)
@option(
    "--connections",
    type=int,
    metavar="N",
    panel=_QUIET,
    help=f"Connections of the web load; 0: no web load.  [default: {_DEFAULT.connections}]",
)
@option(
    "--server",
    type=click.Choice([server.value for server in Server]),
    panel=_QUIET,
    help=f"Web server; auto takes nginx, else apache, else builtin.  [default: {_DEFAULT.server.value}]",
)
@option(
    "--vm-driver",
    type=click.Choice(list(DRIVERS)),
    panel=_VMS,
    help=f"How VMs are run; hogs need a driver that confines VMs.  [default: {CONFINED}]",
)
@option(
    "--vm-address",
    metavar="ADDRESS",
    panel=_VMS,
    help="Network in which each VM has an address; or one address, for a driver that gives no addresses.  "
    "[default: 198.18.0.0/20]",
)
@option("--seed", type=int, metavar="N", panel=_VMS, help=f"Seed of the web load.  [default: {_DEFAULT.seed}]")
@vm_limit_options("Limits of each VM", DEFAULT_LIMITS)
@plan_options
@watch_options
@result_options("isolate")
def isolate(
    plan_file: Path | None,
    replay: Path | None,
    print_plan: bool,
    out: Path | None,
    as_json: bool,
    watch: Watch,
    **given: Any,
) -> int:
    """Measure what antisocial VMs do to a quiet one: latency of a game server, a UDP echo and a web server.

    The quiet VM is measured idle, and then beside CPU hogs, fork bombs, memory, disk and network hogs. All of them are
    confined to their VMs and bounded in time.
    """
    plan = _plan(start_from("isolate", plan_file, replay, fleet=False), given)
    if print_plan:
        return show_plan(plan)
    from coordinator.experiment.once import Once

    return play(Once("isolate", plan), out=out, as_json=as_json, html=given["html"], watch=watch)


def _plan(start: Start, given: dict[str, Any]) -> IsolatePlan:
    """Return the plan that the options make from `start`.  Raises PlanError."""
    base = start.read(
        IsolatePlan.from_dict,
        hogs=given["hogs"],
        antisocial=given["antisocial"],
        measure_ns=given["duration"],
        vm_driver="" if given["vm_driver"] == CONFINED else given["vm_driver"],
        force=given["force"],
        vm_address=given["vm_address"],
        game=Game(given["game"]) if given["game"] else None,
        server=Server(given["server"]) if given["server"] else None,
        connections=given["connections"],
        keep_memory_bytes=given["keep_memory"],
        seed=given["seed"],
    )
    return dataclasses.replace(base, vm_limits=chosen_limits(base.vm_limits, given))
