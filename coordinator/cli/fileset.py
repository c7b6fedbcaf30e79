"""`loadgen fileset`: make or check the files that servers of `loadgen spec` must have."""

from __future__ import annotations

from pathlib import Path

import click

from coordinator.cli.options import docroot_option
from coordinator.cli.panels import command, option
from coordinator.cli.workload_options import named, workload_option
from loadgen.model.errors import LoadgenError


@command()
@option(
    "--connections",
    type=click.IntRange(1),
    metavar="N",
    default=20,
    show_default=True,
    help="Connections of one VM, at least 1.",
)
@workload_option()
@docroot_option
@option("--verify", is_flag=True, help="Compare every byte of the files; make nothing.")
def fileset(connections: int, workload: str | None, root: Path | None, verify: bool) -> int:
    """Make the file set of `loadgen spec` that one VM needs for its connections (more connections, more files)."""
    from rich.console import Console

    from coordinator.experiment.performance import cache_directory
    from coordinator.experiment.progress import fileset_progress
    from loadgen.model.plan import SpecPlan
    from workloads.catalog import of_spec

    root = root or cache_directory() / "fileset"
    plan = SpecPlan(vms=1, connections=connections, workload=named(workload))
    files = of_spec(plan).files(plan)
    assert files is not None  # servers of loadgen spec always need files
    if verify:
        problems = files.verify(root)
        if problems:
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            raise LoadgenError(f"{problems[0]}{more}", hint="loadgen fileset without --verify repairs the file set")
        click.echo(f"{root}: {files.extent}, every byte is correct")
        return 0
    with fileset_progress(Console(stderr=True)) as progress:
        made = files.prepare(root, progress)
    click.echo(f"{root}: {files.extent}, {files.size_bytes} bytes, {made} made now")
    return 0
