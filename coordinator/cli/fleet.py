"""`loadgen fleet`: checks load machines, and makes certificates for them."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coordinator.cli.fleet_options import coordinator_option, hosts_option, ports_option, scheduler_option
from coordinator.cli.options import Parsed
from coordinator.cli.panels import group, option
from coordinator.starting import end_in_order
from loadgen.model.address import parse_address
from loadgen.model.errors import PlanError

if TYPE_CHECKING:
    from coordinator.fleet.check import Checked
    from coordinator.fleet.choice import FleetChoice
    from deploy.hosts.inventory import Host
    from loadgen.model.port_range import PortRange


@group()
def fleet() -> None:
    """Prepare load machines for a run."""


@fleet.command()
@hosts_option
@coordinator_option
@ports_option
@scheduler_option
@option(
    "--bandwidth",
    type=Parsed("address", parse_address),
    metavar="HOST:PORT",
    help="Measure each machine's bandwidth to this address, where loadgen iperf --server or iperf3 -s must run.",
)
def check(
    hosts: tuple[Host, ...] | None,
    coordinator: str | None,
    ports: PortRange | None,
    scheduler: str | None,
    bandwidth: tuple[str, int] | None,
) -> int:
    """Check whether each load machine can be used, and show the reason if it cannot.

    Starts an agent on each machine as a run does, compares versions, cores, open files, local ports and free space for
    results, measures the clock, and ends the agent. Exits with 0 if all machines can be used, otherwise with 1.
    """
    if not hosts and not scheduler:
        raise PlanError("--hosts or --scheduler is needed", hint="loadgen fleet check --hosts a,b,c")
    if ports and not hosts:
        raise PlanError("--ports is given without --hosts", hint="add --hosts, or leave out --ports")
    import uvloop
    from rich.console import Console

    from coordinator.fleet.choice import FleetChoice
    from coordinator.output.streams import printing
    from coordinator.output.terminal.fleet_table import fleet_table
    from coordinator.output.terminal.parts import WIDTH

    choice = FleetChoice(hosts=hosts or (), scheduler=scheduler or "", coordinator=coordinator or "", ports=ports)
    end_in_order()
    rows = uvloop.run(_check(choice, bandwidth))
    with printing():
        Console().print(fleet_table(rows), width=min(WIDTH, Console().width))
    return 0 if all(row.usable for row in rows) else 1


async def _check(choice: FleetChoice, bandwidth: tuple[str, int] | None) -> list[Checked]:
    from loadgen.agent.extra import require_fleet

    require_fleet("loadgen fleet check")
    from coordinator.fleet.check import check_fleet
    from coordinator.fleet.dask.build import build
    from coordinator.output.stderr import speaking
    from loadgen.model.plan import OnLoss

    run_id = f"check-{secrets.token_hex(8)}"
    with speaking() as say:
        machines = build(
            choice, OnLoss.DEGRADE, run_id=run_id, say=lambda text: say(f"· {text}"), on_log=lambda machine, line: None
        )
        try:
            return await check_fleet(machines, bandwidth)
        finally:
            await machines.close()


@fleet.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@option(
    "--workers",
    type=click.IntRange(1, 10_000),
    metavar="N",
    required=True,
    help="Number of workers that will join, 1 to 10000.",
)
def certificates(directory: Path, workers: int) -> None:
    """Make the certificates of one run in DIRECTORY: coordinator.pem, worker-0.pem, worker-1.pem, ….

    Certificates are valid for 24 hours. Each one is a secret: whoever holds it can run programs on the machines of the
    run. Copy one worker file to each worker, and nothing else. A run with --hosts makes its certificates by itself.
    """
    from coordinator.output.streams import printing
    from loadgen.agent.extra import require_fleet

    require_fleet("loadgen fleet certificates")
    from coordinator.fleet.certificates import Authority

    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise PlanError(
            f"{directory} cannot be created: {error.strerror}", hint="choose another DIRECTORY for the certificates"
        ) from error
    authority = Authority()
    for name in ("coordinator", *(f"worker-{number}" for number in range(workers))):
        authority.issue(name).write(directory / f"{name}.pem")
    with printing():
        last = f" to worker-{workers - 1}.pem" if workers > 1 else ""
        click.echo(f"coordinator.pem and worker-0.pem{last} in {directory}, valid for 24 hours")
