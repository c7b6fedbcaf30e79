"""The counters of VMs as CSV, beside what they served: one row for each VM and time between two readings.

docs/exports.md describes the columns.  An empty cell says that the number was not read.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

from coordinator.output.csv_cells import counted_millis, name_of
from coordinator.output.judged import Judged
from coordinator.output.measured import Part, parts_of, seconds_of
from coordinator.output.streams import OutputError
from coordinator.record.frames import vm_seconds
from loadgen.measure.cells import Cell
from loadgen.measure.vm_second import COLUMNS, UNKNOWN, VmSecond
from loadgen.model.units import NS_PER_S

_TIMES = {name: name.replace("_ns", "_ms") for name in COLUMNS if name.endswith("_ns")}

COUNTER_COLUMNS = (*(_TIMES.get(name, name) for name in COLUMNS), "host_stolen_ms", "host_cpu_ms", "reading_ms")
"""The columns of :func:`counters_of`."""

VM_COLUMNS = (
    "run",
    "begin_s",
    "end_s",
    "iteration",
    "vm",
    "ok_operations",
    "failed_operations",
    "received_bytes",
    *COUNTER_COLUMNS,
)


def write_vms(judged: Judged[Any, Any], stream: TextIO) -> None:
    """Write the header line and the rows.

    Raises OutputError when no VM was watched, RecordError when the record of a sweep's point cannot be read.
    """
    rows = [row for part in parts_of(judged) for row in _rows(part)]
    if not rows:
        raise OutputError(
            f"the record {judged.path} has no counters of VMs",
            hint="loadgen spec records them when it starts VMs on this machine; --format csv shows what was measured",
        )
    writer = csv.DictWriter(stream, VM_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def _rows(part: Part) -> Iterator[Mapping[str, object]]:
    read = [one for one in vm_seconds(part.record.path) if isinstance(one, VmSecond)]
    if not read:
        return
    names = [target.name for target in part.record.header.targets]
    served: defaultdict[int, dict[int, list[Cell]]] = defaultdict(dict)
    for second in seconds_of(part.record.measured):
        for (_, target), cell in second.cells.items():
            served[second.interval].setdefault(target, []).append(cell)
    for one in read:
        # A reading is a little after the full second: operations are joined by the nearest full seconds.
        intervals = range(round(one.begin_ns / NS_PER_S), round(one.end_ns / NS_PER_S))
        own = {
            "run": part.name,
            "begin_s": f"{part.start_s + one.begin_ns / NS_PER_S:.3f}",
            "end_s": f"{part.start_s + one.end_ns / NS_PER_S:.3f}",
            "iteration": "" if one.window < 0 else one.window,
        }
        for vm, numbers in enumerate(counters_of(one)):
            cells = [cell for interval in intervals for cell in served[interval].get(vm, ())]
            yield {
                **own,
                "vm": name_of(names, vm),
                "ok_operations": sum(cell.ok for cell in cells),
                "failed_operations": sum(cell.bad for cell in cells),
                "received_bytes": sum(cell.bytes for cell in cells),
                **numbers,
            }


def counters_of(one: VmSecond) -> Iterator[Mapping[str, object]]:
    """The counters of each VM between two readings, with those of the host."""
    host = {
        "host_stolen_ms": counted_millis(one.stolen_ns),
        "host_cpu_ms": counted_millis(one.core_ns),
        "reading_ms": counted_millis(one.cost_ns),
    }
    for numbers in one.numbers.T.tolist():
        read = zip(COLUMNS, numbers, strict=True)
        yield {**{_TIMES.get(name, name): _shown(name, number) for name, number in read}, **host}


def _shown(name: str, number: int) -> object:
    return counted_millis(number) if name in _TIMES else "" if number == UNKNOWN else number
