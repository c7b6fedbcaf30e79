"""The command of CONTRIBUTING's recipe: `loadgen again RUN N` repeats a recorded run until it conforms."""

from __future__ import annotations

from pathlib import Path

import click

from coordinator.cli.playing import play


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("most", type=click.IntRange(min=1))
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document.")
def again(run: Path, most: int, as_json: bool) -> int:
    """Repeat a recorded run until it conforms, at most MOST times."""
    from coordinator.fleet.choice import FleetChoice
    from coordinator.record.kinds import KIND_SPEC
    from coordinator.record.reader import load
    from tests.support.toy_experiment import UntilConforming

    record = load(run, KIND_SPEC)
    return play(UntilConforming(record.header.plan, most), fleet=FleetChoice(), out=None, as_json=as_json)
