"""`loadgen worker`: makes this machine a load machine of a coordinator on another machine."""

from __future__ import annotations

import socket
from pathlib import Path

import click

from coordinator.cli.options import Parsed
from coordinator.cli.panels import command, option
from coordinator.output.stderr import speaking
from coordinator.starting import end_in_order
from loadgen.model.address import format_address, parse_address
from loadgen.model.errors import PlanError
from loadgen.model.port_range import PortRange, parse_ports
from loadgen.model.units import NS_PER_S, format_duration, parse_duration_ns

_MAX_NAME_CHARS = 64


def _parse_name(text: str) -> str:
    if not 0 < len(text) <= _MAX_NAME_CHARS or not text.isprintable() or any(sign in text for sign in " /"):
        raise PlanError(f"{text!r} is not a name for a machine: 1 to 64 printable characters, without spaces and /")
    return text


@command()
@option(
    "--join",
    "coordinator",
    type=Parsed("address", parse_address),
    metavar="HOST:PORT",
    help="Address of the coordinator, as the coordinator prints it.",
)
@option(
    "--cert",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Certificate of this worker, made by loadgen fleet certificates. Each worker needs its own.",
)
@option(
    "--name",
    type=Parsed("name", _parse_name),
    metavar="NAME",
    help="Name of this machine in the run.  [default: host name]",
)
@option(
    "--cores",
    type=click.IntRange(1),
    metavar="N",
    help="Number of engine processes.  [default: the coordinator's choice, or one per core]",
)
@option(
    "--bind",
    metavar="ADDRESS",
    default="",
    help="Address to listen on for the coordinator.  [default: the address from which it is reached]",
)
@option(
    "--ports",
    type=Parsed("ports", parse_ports),
    metavar="FIRST-LAST",
    help="Ports to listen on for the coordinator, such as a firewall lets through.  [default: any]",
)
@option(
    "--spool",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIRECTORY",
    help="Directory for results until the coordinator has them.  [default: ~/.local/state/loadgen/spool]",
)
@option(
    "--patience",
    type=Parsed("duration", parse_duration_ns),
    metavar="DURATION",
    default="10m",
    show_default=True,
    help="How long to wait for the coordinator to start.",
)
@option("--stdin", "mark", hidden=True, help="Read the task from standard input, as over SSH.")
def worker(
    coordinator: tuple[str, int] | None,
    cert: Path | None,
    name: str | None,
    cores: int | None,
    bind: str,
    ports: PortRange | None,
    spool: Path | None,
    patience: int,
    mark: str | None,
) -> int:
    """Generate load for a coordinator on another machine, until the run is over or Ctrl-C.

    A run with --hosts starts its workers by itself over SSH. To start workers by hand, make certificates on the
    coordinator's machine, copy one to each worker, and start the coordinator with --listen. Whoever holds such a
    certificate can run programs on the machines of that run.
    """
    import uvloop

    from loadgen.agent import worker as agent
    from loadgen.agent.bootstrap import Serve
    from loadgen.agent.extra import require_fleet

    if mark is not None:
        end_in_order()
        uvloop.run(agent.obey())
        return 0
    if coordinator is None or cert is None:
        raise PlanError("--join and --cert are needed", hint="loadgen worker --join HOST:PORT --cert FILE")
    require_fleet("loadgen worker")
    from loadgen.agent.credentials import load

    task = Serve(
        name=name or _parse_name(socket.gethostname()),
        scheduler=f"tls://{format_address(*coordinator)}",
        credentials=load(cert).to_pem(),
        bind=bind,
        spool=str(spool.absolute()) if spool else "",
        ports=str(ports) if ports else "",
    )
    waits = f"waits up to {format_duration(patience)} for" if patience else "joins"
    end_in_order()
    with speaking() as say:
        say(f"{task.name} {waits} the coordinator at {format_address(*coordinator)}  (Ctrl-C ends it)")
        stopped = uvloop.run(
            agent.join(
                task,
                source=str(cert),
                patience_s=patience / NS_PER_S,
                cores=cores or 0,
                say=lambda text: say(f"{task.name} is {text}"),
            )
        )
        say(f"{task.name} ends: {'stopped by a signal' if stopped else 'the coordinator has ended'}")
    return 0
