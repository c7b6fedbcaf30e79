"""`loadgen fileset`: make, check or place a file set."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from coordinator.cli.options import docroot_option
from loadgen.model.errors import LoadgenError


@click.command()
@click.option(
    "--connections", type=click.IntRange(1), metavar="N", default=20, show_default=True, help="Connections of one VM."
)
@docroot_option
@click.option("--verify", is_flag=True, help="Compare every byte instead of making what is missing.")
def fileset(connections: int, root: Path | None, verify: bool) -> int:
    """Make the SPECweb99-style file set for so many connections (its size grows with them)."""
    from rich.console import Console

    from coordinator.session import cache_directory, fileset_progress
    from workloads.specweb99 import files
    from workloads.specweb99 import fileset as store

    root = root or cache_directory() / "fileset"
    count = files.directories(connections)
    if verify:
        problems = store.verify(root, count)
        if problems:
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            raise LoadgenError(f"{problems[0]}{more}", hint="loadgen fileset makes what is wrong anew")
        click.echo(f"{root}: {count} directories, every byte is right")
        return 0
    with fileset_progress(Console(stderr=True)) as progress:
        made = store.ensure(root, count, progress)
    click.echo(f"{root}: {made.directories} directories, {made.total_bytes} bytes, {made.made} made now")
    return 0
