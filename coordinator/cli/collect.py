"""`loadgen collect`: fetches the results that a run left on its load machines."""

from __future__ import annotations

from pathlib import Path

import click

from coordinator.cli.panels import command
from coordinator.starting import end_in_order


@command(name="collect")
@click.argument("run", type=click.Path(path_type=Path, file_okay=False))
@click.argument("spools", nargs=-1, type=click.Path(path_type=Path, dir_okay=False), metavar="[SPOOL]...")
def collect_command(run: Path, spools: tuple[Path, ...]) -> int:
    """Fetch the results that RUN left on its load machines, and add them to its record.

    If a coordinator is killed or cut off, its machines keep their results in spool files. From the machines of --hosts,
    spools are fetched by SSH, and deleted there. From other machines, copy the files and give them as SPOOL. Then run
    loadgen show RUN.
    """
    import uvloop

    from coordinator.fleet.collect import Source, SpoolFile, collect, sources_of
    from coordinator.output.streams import printing
    from coordinator.record.reader import load_fleet
    from coordinator.record.writer import INTERVALS
    from loadgen.agent.extra import require_fleet

    record = load_fleet(run)
    fleet = record.header.own_fleet
    sources: list[Source]
    if spools:
        sources = [SpoolFile(path.name.removesuffix(".spool"), path) for path in spools]
    else:
        sources = sources_of(fleet, lambda text: click.echo(f"· {text}", err=True))
        require_fleet("loadgen collect")
    end_in_order()
    found = uvloop.run(collect(record.path, fleet.placement.workers, sources))
    with printing():
        for one in found:
            plural = "" if one.intervals == 1 else "s"
            click.echo(f"{one.name}: {one.problem or f'{one.intervals} interval{plural} added to the record'}")
    if record.finished and any(one.intervals for one in found):
        click.echo(f"the run had ended, so its result is unchanged; the added intervals are in {INTERVALS}", err=True)
    return 1 if any(one.problem for one in found) else 0
