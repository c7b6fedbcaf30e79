"""`loadgen serve`: one web server with its file set in the foreground, as a target for other machines."""

from __future__ import annotations

from pathlib import Path

import click

from coordinator.cli.options import docroot_option
from coordinator.cli.panels import command, option
from coordinator.cli.workload_options import named, workload_option
from coordinator.starting import end_in_order
from loadgen.model.address import format_address
from loadgen.model.plan import Server
from loadgen.model.target import Target


@command()
@option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    required=True,
    help="Port to listen on; 0 takes any free port.",
)
@option("--host", metavar="ADDRESS", default="127.0.0.1", show_default=True, help="Address to listen on.")
@option(
    "--server",
    type=click.Choice([s.value for s in Server]),
    default=Server.BUILTIN.value,
    show_default=True,
    help="Web server to run; auto takes the first that is installed: nginx, apache, builtin.",
)
@option(
    "--connections",
    type=click.IntRange(1),
    metavar="N",
    default=20,
    show_default=True,
    help="Number of connections to prepare for.",
)
@workload_option()
@docroot_option
def serve(port: int, host: str, server: str, connections: int, workload: str | None, root: Path | None) -> int:
    """Make the file set, then run one web server of `loadgen spec` in the foreground until Ctrl-C.

    The server has no access control: on an address other than loopback, everyone who reaches the port can use it.
    """
    import uvloop

    from coordinator.experiment.performance import cache_directory
    from coordinator.experiment.progress import fileset_progress
    from coordinator.output.stderr import patient_console
    from coordinator.output.streams import say_on
    from deploy.serve import serve as serve_until_ended
    from deploy.vms.api import VmRequest
    from deploy.vms.catalog import choose as choose_driver
    from loadgen.model.plan import SpecPlan
    from workloads.catalog import of_spec, tcp_connections

    root = root or cache_directory() / "fileset"
    plan = SpecPlan(vms=1, connections=connections, workload=named(workload))
    files = of_spec(plan).files(plan)
    assert files is not None  # servers of loadgen spec always need files
    deployment = choose_driver("local").prepare(
        VmRequest(
            count=1,
            server=Server(server),
            address=host,
            base_port=port,
            connections=tcp_connections(plan),
            docroots=(root,),
            app=files.app,
            proof_path=files.proof_path,
            app_path=files.app_path,
        )
    )
    with patient_console() as err:
        with fileset_progress(err) as progress:
            files.prepare(root, progress)

        def ready(target: Target) -> None:
            facts = deployment.facts
            # In a URL, the % before the interface of a link-local address is %25 (RFC 6874).
            where = format_address(target.host.replace("%", "%25"), target.port)
            say_on(err, f"{facts.server} {facts.version} serves on http://{where}/  (Ctrl-C ends the server)")

        end_in_order()
        uvloop.run(serve_until_ended(deployment, ready))
    return 0
