"""`loadgen show`: a record again, as the run printed it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import rich_click as click
from rich.console import Console

from coordinator.http.judge import judge_http_snapshots
from coordinator.judge import judge_snapshots
from coordinator.output import printing
from coordinator.record.document import KIND_FORWARD, KIND_HTTP, KIND_IPERF, RecordError
from coordinator.record.network_reader import read_forward, read_iperf
from coordinator.record.reader import Record, find, read_http, read_spec, recover
from coordinator.view.chart import print_sweep
from coordinator.view.http_report import print_http
from coordinator.view.network_report import print_forward, print_iperf
from coordinator.view.report import print_report


@click.command()
@click.argument("record", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print its run.json.")
def show(record: Path, as_json: bool) -> int:
    """Print the result of a recorded run again; of one that was cut, what was measured up to then.

    Always exits with 0 when the record can be shown.
    """
    file, document = find(record)
    tell = _TELL.get(document["kind"], _show_spec)(file, document)
    with printing():
        if as_json:
            sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
        else:
            tell(Console())
    return 0


Tell = Callable[[Console], None]


def _show_iperf(file: Path, document: Mapping[str, Any]) -> Tell:
    header, result, cut = read_iperf(file, document)
    return lambda console: print_iperf(console, result, header, record=file.parent, cut=cut)


def _show_forward(file: Path, document: Mapping[str, Any]) -> Tell:
    header, result, cut = read_forward(file, document)
    return lambda console: print_forward(console, result, header, record=file.parent, cut=cut)


def _show_http(file: Path, document: Mapping[str, Any]) -> Tell:
    header, result, cut = read_http(file, document, judge_http_snapshots)
    return lambda console: print_http(console, result, header, record=file.parent, cut=cut)


def _show_spec(file: Path, document: Mapping[str, Any]) -> Tell:
    found = read_spec(file, document)
    return lambda console: _print_spec(found, console)


_TELL: Mapping[str, Callable[[Path, Mapping[str, Any]], Tell]] = {
    KIND_IPERF: _show_iperf,
    KIND_FORWARD: _show_forward,
    KIND_HTTP: _show_http,
}


def _print_spec(found: Record, console: Console) -> None:
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
        result, cut = recover(found, judge_snapshots)
        print_report(console, result, found.header, record=found.path, cut=cut)
