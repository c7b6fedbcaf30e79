"""`loadgen show`: a record again, as the run printed it."""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path

import rich_click as click
from rich.console import Console

from coordinator.judge import judge_snapshots
from coordinator.output import printing
from coordinator.record.document import RecordError
from coordinator.record.reader import Record, load, recover
from coordinator.view.chart import print_sweep
from coordinator.view.report import print_report


@click.command()
@click.argument("record", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print its run.json.")
def show(record: Path, as_json: bool) -> int:
    """Print the result of a recorded run again; of one that was cut, what was measured up to then.

    Always exits with 0 when the record can be shown.
    """
    found = load(record)
    with printing():
        if as_json:
            sys.stdout.write(json.dumps(found.document, indent=2, ensure_ascii=False) + "\n")
        else:
            _show(found, Console())
    return 0


def _show(found: Record, console: Console) -> None:
    if found.sweep is not None:
        cut = "" if found.finished else "the sweep did not write its end"
        print_sweep(console, found.sweep, found.header, record=found.path, cut=cut)
    elif found.is_sweep:
        raise RecordError(
            f"{found.path} is a sweep that was cut before its first point was done",
            hint="its points' own records are in the directories below it",
        )
    elif found.result is not None:
        print_report(console, found.result, found.header, record=found.path)
    else:
        result, cut = recover(found, functools.partial(judge_snapshots, sysctls=found.header.environment.sysctls))
        print_report(console, result, found.header, record=found.path, cut=cut)
