"""`loadgen pack`: how many VMs fit onto this machine."""

from __future__ import annotations

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
from deploy.vms.catalog import DRIVERS, choose, choose_for, default_name
from loadgen.model.errors import PlanError
from loadgen.model.pack import PackPlan, parse_reservation
from loadgen.model.plan import Server
from loadgen.model.units import format_duration, format_size

_DEFAULT = PackPlan()
_VMS, _MEMORY = "VMs", "Memory and disk"


@command()
@option(
    "--count",
    type=int,
    metavar="N",
    panel=_VMS,
    help="Number of VMs to start; with fewer, the exit code is 1. 0: as many as fit.  [default: 0]",
)
@option(
    "--vm-driver",
    type=click.Choice(list(DRIVERS)),
    panel=_VMS,
    help=f"How VMs are run; a driver that starts them.  [default: {default_name(with_targets=False)}]",
)
@option(
    "--server",
    type=click.Choice([server.value for server in Server]),
    panel=_VMS,
    help=f"Web server of the VMs; auto takes nginx, else apache, else builtin.  [default: {_DEFAULT.server.value}]",
)
@option(
    "--connections",
    type=int,
    metavar="N",
    panel=_VMS,
    help="Connections that each server can serve at once, at least 1; it sizes the server.  "
    f"[default: {_DEFAULT.connections}]",
)
@option(
    "--vm-address",
    metavar="ADDRESS",
    panel=_VMS,
    help="IP address at which the VMs listen; or, for a driver that can, a network in which each has its own, such as "
    f"198.18.0.0/15.  [default: {_DEFAULT.vm_address}]",
)
@option(
    "--base-port",
    type=int,
    metavar="PORT",
    panel=_VMS,
    help="Port of the first VM, 1 to 65535; the next VMs take the next ports.  [default: any free ports]",
)
@option(
    "--answer",
    type=DURATION,
    panel=_VMS,
    help="Time in which every VM must answer the final sweep, more than 0s.  "
    f"[default: {format_duration(_DEFAULT.answer_ns)}]",
)
@option(
    "--reserve",
    type=Parsed("reservation", parse_reservation),
    metavar="MEMORY[:DISK]",
    panel=_MEMORY,
    help="Guarantee memory and disk to each VM, such as 100M:1G: no more VMs are admitted than fit by the sum.",
)
@option(
    "--overbook",
    is_flag=True,
    panel=_MEMORY,
    help="Guarantee nothing: start VMs until memory or another resource is used up. This is the default.",
)
@option(
    "--keep-memory",
    type=SIZE,
    metavar="SIZE",
    panel=_MEMORY,
    help="Available memory that is never given to VMs, at least 64M.  "
    f"[default: {format_size(_DEFAULT.keep_memory_bytes)}]",
)
@option(
    "--keep-disk",
    type=SIZE,
    metavar="SIZE",
    panel=_MEMORY,
    help="Free disk space that is never given to VMs, at least 64M.  "
    f"[default: {format_size(_DEFAULT.keep_disk_bytes)}]",
)
@vm_limit_options("Limits of each VM")
@plan_options
@watch_options
@result_options("pack")
def pack(
    plan_file: Path | None,
    replay: Path | None,
    print_plan: bool,
    out: Path | None,
    as_json: bool,
    watch: Watch,
    **given: Any,
) -> int:
    """Measure how many VMs fit: start web servers until something stops it, then ask all of them at once.

    Stops at the number that was asked for, at a floor of free memory or disk, at a limit of the machine (tasks,
    descriptors, ports), or at a VM that does not start or answer, and says which. Reports the footprint per VM.
    """
    plan = _plan(start_from("pack", plan_file, replay, fleet=False), given)
    if not choose(plan.vm_driver or default_name(with_targets=False)).starts_servers:
        raise PlanError(
            f"the VM driver {plan.vm_driver} starts no VMs, so there is nothing to pack",
            hint="choose another --vm-driver",
        )
    choose_for(plan.vm_driver, (), plan.vm_limits, plan.vm_address)
    if print_plan:
        return show_plan(plan)
    from coordinator.experiment.once import Once

    return play(Once("pack", plan), out=out, as_json=as_json, html=given["html"], watch=watch)


def _plan(start: Start, given: dict[str, Any]) -> PackPlan:
    """Return the plan that the options make from `start`.  Raises PlanError."""
    if given["reserve"] and given["overbook"]:
        raise PlanError("--reserve and --overbook are both given", hint="give one of them")
    memory, disk = (0, 0) if given["overbook"] else given["reserve"] or (None, None)
    driver = given["vm_driver"]
    limits = chosen_limits(start.read(PackPlan.from_dict).vm_limits, given)
    return start.read(
        PackPlan.from_dict,
        count=given["count"],
        vm_driver="" if driver == default_name(with_targets=False) else driver,
        server=Server(given["server"]) if given["server"] else None,
        connections=given["connections"],
        vm_address=given["vm_address"],
        base_port=given["base_port"],
        answer_ns=given["answer"],
        reserve_memory_bytes=memory,
        reserve_disk_bytes=disk,
        keep_memory_bytes=given["keep_memory"],
        keep_disk_bytes=given["keep_disk"],
        vm_limits={name: getattr(limits, name) for name in limits.given} or None,
    )
