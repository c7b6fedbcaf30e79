"""A run as CSV: one row for each target and second, for each test of a network run and each of its intervals, for each
number of VMs of a packing, for each hog and service of an isolation run, for each number of each VM in the trials of
a comparison, or for each number of the paper's experiments.

docs/exports.md describes the columns.  An empty cell says that the number is not known or does not apply.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

from coordinator.output.csv_cells import millis, name_of
from coordinator.output.csv_figures import write_figures
from coordinator.output.csv_phases import write_phases
from coordinator.output.csv_steps import write_steps
from coordinator.output.csv_tests import TEST_COLUMNS, rows_of_tests
from coordinator.output.csv_trials import write_trials
from coordinator.output.judged import Judged
from coordinator.output.measured import INTERVAL_S, Part, parts_of, seconds_of
from coordinator.record.kinds import KIND_ISOLATE, KIND_PACK, KIND_PAPER, KIND_RELATIVE, KIND_ROUND
from loadgen.measure.cells import Cell
from loadgen.measure.censored import Times

_SPANS = ("response", "service")
_PERCENTILES = {"p50": 50, "p90": 90, "p99": 99, "max": 100}

TARGET_COLUMNS = (
    "run",
    "interval_start_s",
    "iteration",
    "target",
    "ok_operations",
    "failed_operations",
    "cut_operations",
    "sent_operations",
    "received_bytes",
    "connects",
    "retries",
    *(f"{time}_{name}_ms" for time in (*_SPANS, "lateness") for name in _PERCENTILES),
    *(f"{time}_{name}_high_ms" for time in _SPANS for name in _PERCENTILES),
)
"""The columns of runs against targets: spec, its sweeps, and http."""


def write_csv(judged: Judged[Any, Any], stream: TextIO) -> None:
    """Write the header line and the rows.  Raises RecordError when the record of a sweep's point cannot be read."""
    if judged.header.kind == KIND_PACK:
        write_steps(judged, stream)
        return
    if judged.header.kind == KIND_ISOLATE:
        write_phases(judged, stream)
        return
    if judged.header.kind == KIND_PAPER:
        write_figures(judged, stream)
        return
    if judged.header.kind in (KIND_RELATIVE, KIND_ROUND):
        write_trials(judged.result.rounds, stream)
        return
    parts = list(parts_of(judged))
    on_targets = all(part.record.has_snapshots for part in parts)
    writer = csv.DictWriter(stream, TARGET_COLUMNS if on_targets else TEST_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for part in parts:
        writer.writerows(_rows_of_targets(part) if on_targets else rows_of_tests(part.record.measured))


def _rows_of_targets(part: Part) -> Iterator[Mapping[str, object]]:
    names = [target.name for target in part.record.header.targets]
    for second in seconds_of(part.record.measured):
        for (window, target), cell in second.cells.items():
            yield {
                "run": part.name,
                "interval_start_s": f"{part.start_s + second.interval * INTERVAL_S:g}",
                "iteration": "" if window < 0 else window,
                "target": name_of(names, target),
                **numbers_of(cell),
            }


def numbers_of(cell: Cell) -> Mapping[str, object]:
    """The columns from `ok_operations` on: what ended in a cell, and its times."""
    times = {
        "response": Times.response_of(cell),
        "service": Times.service_of(cell),
        "lateness": Times.exactly(cell.lateness),
    }
    spans = {(time, name): one.percentile(q) for time, one in times.items() for name, q in _PERCENTILES.items()}
    return {
        "ok_operations": cell.ok,
        "failed_operations": cell.bad,
        "cut_operations": cell.cut,
        "sent_operations": cell.lateness.total,
        "received_bytes": cell.bytes,
        "connects": cell.connects,
        "retries": cell.retries,
        **{f"{time}_{name}_ms": millis(span.low if span else None) for (time, name), span in spans.items()},
        **{
            f"{time}_{name}_high_ms": millis(span.high if span else None)
            for (time, name), span in spans.items()
            if time in _SPANS
        },
    }
