"""`loadgen collect`: the rest of a run whose coordinator vanished."""

from __future__ import annotations

from pathlib import Path

import rich_click as click
import uvloop

from coordinator.fleet.collect import Source, SpoolFile, collect, sources_of
from coordinator.output.streams import printing
from coordinator.record.reader import load_fleet
from coordinator.record.writer import INTERVALS
from loadgen.agent.extra import require_fleet


@click.command(name="collect")
@click.argument("run", type=click.Path(path_type=Path, file_okay=False))
@click.argument("spools", nargs=-1, type=click.Path(path_type=Path, dir_okay=False), metavar="[SPOOL]...")
def collect_command(run: Path, spools: tuple[Path, ...]) -> int:
    """Fetch what the load machines of RUN still have of it, and put it into the record.

    When a coordinator is killed or cut off, its machines keep what they measured. The machines of --hosts are asked
    by SSH, and forget it once it is here. Of others, copy their spools and name them. Then: loadgen show RUN.
    """
    record = load_fleet(run)
    fleet = record.header.own_fleet
    sources: list[Source]
    if spools:
        sources = [SpoolFile(path.name.removesuffix(".spool"), path) for path in spools]
    else:
        sources = sources_of(fleet)
        require_fleet("loadgen collect")
    found = uvloop.run(collect(record.path, fleet.placement.workers, sources))
    with printing():
        for one in found:
            plural = "" if one.intervals == 1 else "s"
            click.echo(f"{one.name}: {one.problem or f'{one.intervals} interval{plural} that the record did not have'}")
    if record.finished and any(one.intervals for one in found):
        click.echo(f"the run had ended, so its result stays as it is; what came is in {INTERVALS}", err=True)
    return 1 if any(one.problem for one in found) else 0
