"""A run as tidy CSV: exactly one row for each VM (or server) and second, also for those in which nothing ended.

docs/exports.md describes the columns.  An empty cell says that a number is not known or does not apply.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from coordinator.output.csv_cells import name_of
from coordinator.output.csv_rows import TARGET_COLUMNS, numbers_of
from coordinator.output.judged import Judged
from coordinator.output.measured import INTERVAL_S, Part, Second, epoch_s, parts_of, seconds_of, window_of
from coordinator.output.streams import OutputError
from coordinator.output.vm_rows import COUNTER_COLUMNS, counters_of
from coordinator.record.catalog import KINDS
from coordinator.record.frames import vm_seconds
from coordinator.record.kinds import KIND_ISOLATE, KIND_PAPER
from coordinator.record.reader import Record, load
from coordinator.record.writer import RUN
from loadgen.measure.cells import Cell
from loadgen.measure.vm_second import VmSecond
from loadgen.model.units import NS_PER_S
from loadgen.verdict.result import Verdict

_ABOUT = ("run", "kind", "verdict", "vm", "second", "start_s", "iteration")
_SERVED = TARGET_COLUMNS[TARGET_COLUMNS.index("ok_operations") :]

SECOND_COLUMNS = (*_ABOUT, *_SERVED, "counted_s", *COUNTER_COLUMNS)
"""The columns."""


def write_seconds(judged: Judged[Any, Any], stream: TextIO) -> None:
    """Write the header line and the rows.

    Raises OutputError when no operation was recorded, and RecordError when the record of a run cannot be read.
    """
    parts = [part for part in _parts(judged) if part.record.has_snapshots]
    if not parts:
        raise OutputError(
            f"the record {judged.path} has no operations by VM and second",
            hint="loadgen spec and http record them; --format csv shows what else was measured",
        )
    writer = csv.DictWriter(stream, SECOND_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for part in parts:
        whole = judged.result.verdict
        is_own = part.name and whole is not Verdict.INVALID  # which outranks what single runs say
        writer.writerows(_rows(part, str(part.record.document["verdict"]) if is_own else whole.value))


def _parts(judged: Judged[Any, Any]) -> Iterator[Part]:
    """The records with measurements: those of the run, of its runs, or of the experiments that it consists of."""
    if judged.header.kind == KIND_PAPER:
        below = [
            judged.path / step.record for step in judged.result.steps if (judged.path / step.record / RUN).exists()
        ]
        for record in map(load, below):
            yield from _deeper(record, judged)
    elif judged.header.kind == KIND_ISOLATE:  # the web load of each phase has a record of its own
        for record in map(load, sorted(file.parent for file in judged.path.rglob(RUN) if file.parent != judged.path)):
            yield from _deeper(record, judged)
    else:
        yield from parts_of(judged)


def _deeper(record: Record, judged: Judged[Any, Any]) -> Iterator[Part]:
    """The record as a part of the whole, or those of its runs."""
    runs = KINDS[record.header.kind].runs
    for one in [record] if runs is None else [load(record.path / name) for name in runs(record.result())]:
        start_s = epoch_s(one.header.started_at) - epoch_s(judged.header.started_at)
        yield Part(name=_below(one.path, judged.path), record=one, start_s=start_s)


def _below(path: Path, top: Path) -> str:
    return path.relative_to(top).as_posix()


def _rows(part: Part, verdict: str) -> Iterator[Mapping[str, object]]:
    names = [target.name for target in part.record.header.targets]
    seconds = {second.interval: second for second in seconds_of(part.record.measured)}
    if not seconds:
        return
    counters = _counters(part.record.path)
    vms = max([len(names), *(1 + target for second in seconds.values() for _, target in second.cells)])
    for at in range(max(seconds) + 1):
        second = seconds.get(at, Second(interval=at, cells={}, cut={}))
        served: defaultdict[int, list[Cell]] = defaultdict(list)
        for (_, target), cell in second.cells.items():
            served[target].append(cell)
        window = _window(second)
        for vm in range(vms):
            yield {
                "run": part.name,
                "kind": part.record.header.kind,
                "verdict": verdict,
                "vm": name_of(names, vm),
                "second": at,
                "start_s": f"{part.start_s + at * INTERVAL_S:g}",
                "iteration": "" if window < 0 else window,
                **numbers_of(Cell.merge_all(served[vm]) if served[vm] else Cell.empty(1, 1)),
                **counters.get((at, vm), {}),
            }


def _window(second: Second) -> int:
    """The measured window of most operations of the second; -1 when most belong to none."""
    found: Counter[int] = Counter()
    for (window, _), cell in second.cells.items():
        found[window] += cell.ok + cell.bad + cell.cut
    return window_of(found)


def _counters(path: Path) -> Mapping[tuple[int, int], Mapping[str, object]]:
    """The counters by second and VM.

    A reading is a little after a full second, so it belongs to the nearest; one of several seconds to its last.
    """
    found: dict[tuple[int, int], Mapping[str, object]] = {}
    for one in vm_seconds(path):
        if isinstance(one, VmSecond):
            begin, end = round(one.begin_ns / NS_PER_S), round(one.end_ns / NS_PER_S)
            for vm, numbers in enumerate(counters_of(one)):
                found[max(begin, end - 1), vm] = {
                    "counted_s": f"{(one.end_ns - one.begin_ns) / NS_PER_S:.3f}",
                    **numbers,
                }
    return found
