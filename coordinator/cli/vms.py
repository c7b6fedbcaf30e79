"""`loadgen vms`: start, list and end VMs by hand."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coordinator.cli.options import docroot_option
from coordinator.cli.panels import group, option
from coordinator.cli.vm_limit_options import chosen_limits, vm_limit_options
from coordinator.cli.workload_options import named, workload_option
from coordinator.starting import end_in_order
from deploy.vms.catalog import DRIVERS, choose_for
from loadgen.model.entry import choices_help
from loadgen.model.errors import PlanError
from loadgen.model.limits import NO_LIMITS
from loadgen.model.plan import Server, SpecPlan
from loadgen.model.units import counted

if TYPE_CHECKING:
    from deploy.held import Held
    from deploy.vms.api import Deployment
    from loadgen.model.target import Target

_STARTING = tuple(name for name in DRIVERS if name != "inventory")


@group()
def vms() -> None:
    """Start, list and end VMs by hand, as `loadgen spec` starts them."""


@vms.command()
@option("--vms", "count", type=click.IntRange(1), metavar="N", default=1, show_default=True, help="Number of VMs.")
@option(
    "--vm-driver",
    type=click.Choice(_STARTING),
    default="local",
    show_default=True,
    help=f"How VMs come up. {choices_help({name: DRIVERS[name] for name in _STARTING})}.",
)
@option(
    "--server",
    type=click.Choice([server.value for server in Server]),
    default="auto",
    show_default=True,
    help="Web server of the VMs; auto takes nginx, else apache, else builtin.",
)
@option(
    "--vm-address",
    metavar="ADDRESS",
    default="127.0.0.1",
    show_default=True,
    help="IP address at which the VMs listen. With the drivers ns and qemu also a network, "
    "such as 198.18.0.0/15, in which each VM has an address of its own.",
)
@option(
    "--base-port",
    type=int,
    metavar="PORT",
    default=0,
    help="Port of the first VM, 1 to 65535; the next VMs take the next ports.  [default: any free ports]",
)
@option(
    "--connections",
    type=click.IntRange(1),
    metavar="N",
    default=20,
    show_default=True,
    help="Connections per VM to prepare for.",
)
@workload_option()
@vm_limit_options("Limits of each VM")
@docroot_option
def up(
    count: int,
    vm_driver: str,
    server: str,
    vm_address: str,
    base_port: int,
    connections: int,
    workload: str | None,
    root: Path | None,
    **given: Any,
) -> int:
    """Start VMs that run until `loadgen vms down`, and print them as a file for --targets.

    The VMs go on when the terminal is closed. They do not survive a restart of the machine.
    """
    from coordinator.output.streams import printing
    from deploy.held import hold

    plan = SpecPlan(
        vms=count,
        workload=named(workload),
        vm_driver=vm_driver,
        server=Server(server),
        vm_address=vm_address,
        base_port=base_port,
        connections=connections,
        vm_limits=chosen_limits(NO_LIMITS, given),
    )
    deployment = _prepared(plan, root)
    facts = deployment.facts
    end_in_order()
    held = hold(deployment, _directory(), facts.server)
    with printing():
        click.echo(_toml(held.targets), nl=False)
    click.echo(f"{counted(len(held.targets), 'VM')} up as {held.name}; to end: loadgen vms down {held.name}", err=True)
    return 0


@vms.command("list")
def list_command() -> int:
    """List the VMs that `loadgen vms up` has started and that still run."""
    import time

    from rich.console import Console
    from rich.table import Table

    from coordinator.output.streams import printing
    from deploy.held import find_held
    from loadgen.model.units import NS_PER_S, format_duration

    found = find_held(_directory())
    table = Table("name", "driver", "VMs", "server", "first address", "for", box=None, padding=(0, 1))
    for held in found:
        age = format_duration(round(time.time() - held.started_at) * NS_PER_S)
        first = held.targets[0].authority
        table.add_row(held.name, held.driver, str(len(held.targets)), held.server, first, age)
    with printing():
        if not found:
            click.echo("no VMs run")
            return 0
        Console().print(table)
        for held in found:
            for death in held.dead:
                click.echo(f"{held.name}: {death}")
    return 0


@vms.command()
@click.argument("name", required=False)
@option("--all", "everything", is_flag=True, help="End all VMs that `loadgen vms up` has started.")
def down(name: str | None, everything: bool) -> int:
    """End VMs that `loadgen vms up` has started. Without NAME, those of the only deployment that runs."""
    from deploy.held import end_held

    for held in _chosen(name, everything=everything):
        end_held(held)
        click.echo(f"ended: {held.name} ({held.driver}, {counted(len(held.targets), 'VM')})", err=True)
    return 0


def _chosen(name: str | None, *, everything: bool) -> list[Held]:
    """Return the deployments to end.  Raises PlanError when there is none, or the choice is not clear."""
    from deploy.held import find_held

    found = find_held(_directory())
    if name is not None and everything:
        raise PlanError("a name and --all are given", hint="leave out one of them")
    names = ", ".join(held.name for held in found) or "none"
    if name is not None:
        found = [held for held in found if held.name == name]
        if not found:
            raise PlanError(f"no VMs run as {name!r}; running: {names}", hint="see loadgen vms list")
    elif len(found) > 1 and not everything:
        raise PlanError(f"several deployments run: {names}", hint="name one, or give --all")
    elif not found and not everything:
        raise PlanError("no VMs run", hint="start some with loadgen vms up")
    return found


def _prepared(plan: SpecPlan, root: Path | None) -> Deployment:
    """Return the deployment of a plan, and make its files.  Raises PlanError."""
    from rich.console import Console

    from coordinator.experiment.performance import cache_directory
    from coordinator.experiment.progress import fileset_progress
    from deploy.vms.api import VmRequest
    from workloads.catalog import of_spec, tcp_connections

    driver = choose_for(plan.vm_driver, (), plan.vm_limits, plan.vm_address)
    root = root or cache_directory() / "fileset"
    files = of_spec(plan).files(plan)
    assert files is not None  # servers of loadgen spec always need files
    deployment = driver.prepare(
        VmRequest(
            count=plan.vms,
            server=plan.server,
            address=plan.vm_address,
            base_port=plan.base_port,
            connections=tcp_connections(plan),
            docroots=(root,) * plan.vms,
            app=files.app,
            proof_path=files.proof_path,
            app_path=files.app_path,
            limits=plan.vm_limits,
        )
    )
    with fileset_progress(Console(stderr=True)) as progress:
        files.prepare(root, progress)
    return deployment


def _directory() -> Path:
    """Return the directory with the descriptions of this user's VMs; it does not survive a restart of the machine."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Path(runtime) / "loadgen" if runtime else Path(tempfile.gettempdir()) / f"loadgen-held-{os.getuid()}"


def _toml(targets: tuple[Target, ...]) -> str:
    import tomli_w

    return tomli_w.dumps({"target": [{"name": one.name, "host": one.host, "port": one.port} for one in targets]})
