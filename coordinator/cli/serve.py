"""`loadgen serve`: one server with a file set in the foreground, to be driven from elsewhere."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from coordinator.cli.options import docroot_option
from loadgen.model.plan import Server
from loadgen.model.target import Target


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    required=True,
    help="Port to listen on; 0 takes any free one.",
)
@click.option("--host", metavar="ADDRESS", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--server",
    type=click.Choice([s.value for s in Server]),
    default=Server.BUILTIN.value,
    show_default=True,
    help="Which web server; auto takes nginx, then apache, then builtin.",
)
@click.option(
    "--connections", type=click.IntRange(1), metavar="N", default=20, show_default=True, help="Connections to expect."
)
@docroot_option
def serve(port: int, host: str, server: str, connections: int, root: Path | None) -> int:
    """Run one SPECweb99-style web server in the foreground until Ctrl-C, with its file set made first.

    The server knows no passwords. Other addresses than loopback open it to whoever can reach them.
    """
    import uvloop
    from rich.console import Console

    from coordinator.session import cache_directory, fileset_progress
    from deploy.serve import serve as serve_until_ended
    from deploy.servers.catalog import choose
    from workloads.specweb99 import files
    from workloads.specweb99 import fileset as store

    chosen = choose(Server(server))
    root = root or cache_directory() / "fileset"
    with fileset_progress(Console(stderr=True)) as progress:
        store.ensure(root, files.directories(connections), progress)

    def ready(target: Target) -> None:
        click.echo(
            f"{chosen.kind.value} {chosen.version} serves on http://{target.authority}/  (Ctrl-C ends it)", err=True
        )

    uvloop.run(serve_until_ended(chosen, docroot=root, port=port, connections=connections, ready=ready, host=host))
    return 0
