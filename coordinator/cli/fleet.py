"""`loadgen fleet`: what load machines need before a run."""

from __future__ import annotations

import secrets
from pathlib import Path

import rich_click as click
import uvloop
from rich.console import Console

from coordinator.cli.fleet_options import coordinator_option, hosts_option, scheduler_option
from coordinator.cli.options import Parsed
from coordinator.fleet.check import Checked, check_fleet
from coordinator.fleet.choice import FleetChoice
from coordinator.fleet.extra import require_fleet
from coordinator.output.streams import printing, stderr_console
from coordinator.output.terminal.fleet_table import fleet_table
from coordinator.output.terminal.parts import WIDTH
from deploy.hosts.inventory import Host
from loadgen.model.address import parse_address
from loadgen.model.errors import PlanError
from loadgen.model.plan import OnLoss


@click.group()
def fleet() -> None:
    """Make ready a fleet of load machines."""


@fleet.command()
@hosts_option
@coordinator_option
@scheduler_option
@click.option(
    "--bandwidth",
    type=Parsed("address", parse_address),
    metavar="HOST:PORT",
    help="Measure each machine's line to a loadgen iperf --server, or iperf3 -s, beside the targets.",
)
def check(
    hosts: tuple[Host, ...] | None, coordinator: str | None, scheduler: str | None, bandwidth: tuple[str, int] | None
) -> int:
    """Reach each machine, and say whether it can be used, or why not.

    Starts an agent there as a run does, compares versions, looks at cores, open files, ports and room for results,
    measures its clock, and ends the agent again. Exits with 0 when all can be used, with 1 when some can't.
    """
    if not hosts and not scheduler:
        raise PlanError("no machines are named", hint="loadgen fleet check --hosts a,b,c")
    choice = FleetChoice(hosts=hosts or (), scheduler=scheduler or "", coordinator=coordinator or "")
    rows = uvloop.run(_check(choice, bandwidth))
    with printing():
        Console().print(fleet_table(rows), width=min(WIDTH, Console().width))
    return 0 if all(row.usable for row in rows) else 1


async def _check(choice: FleetChoice, bandwidth: tuple[str, int] | None) -> list[Checked]:
    require_fleet("loadgen fleet check")
    from coordinator.fleet.dask.build import build

    err = stderr_console()

    def say(text: str) -> None:
        err.print(f"· {text}", markup=False, highlight=False, soft_wrap=True)

    run_id = f"check-{secrets.token_hex(8)}"
    machines = build(choice, OnLoss.DEGRADE, run_id=run_id, say=say, on_log=lambda machine, line: None)
    try:
        return await check_fleet(machines, bandwidth)
    finally:
        await machines.close()


@fleet.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--workers", type=click.IntRange(1, 10_000), metavar="N", required=True, help="How many workers shall join."
)
def certificates(directory: Path, workers: int) -> None:
    """Make the certificates of one run in DIRECTORY: coordinator.pem, worker-0.pem, worker-1.pem and on.

    They are good for 24 hours, and each is a secret: who holds one can run programs on the machines of the run. Give
    each worker its own, and nothing else. With --hosts, none of this is needed: loadgen makes them for each run.
    """
    require_fleet("loadgen fleet certificates")
    from coordinator.fleet.certificates import Authority

    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise PlanError(f"{directory} cannot be made: {error.strerror}") from error
    authority = Authority()
    for name in ("coordinator", *(f"worker-{number}" for number in range(workers))):
        authority.issue(name).write(directory / f"{name}.pem")
    with printing():
        last = f" to worker-{workers - 1}.pem" if workers > 1 else ""
        click.echo(f"coordinator.pem and worker-0.pem{last} in {directory}, good for 24 hours")
