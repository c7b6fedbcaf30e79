"""The curve of `loadgen pack` as CSV: one row for each number of VMs at which the footprint was measured."""

from __future__ import annotations

import csv
from typing import TextIO

from coordinator.output.judged import Judged
from loadgen.model.pack import PackPlan
from loadgen.verdict.pack_result import PackResult

_PER_VM = ("pss_bytes", "group_bytes", "available_bytes", "kernel_bytes", "tasks", "disk_bytes")

STEP_COLUMNS = ("vms", "started_vms", "start_s", *(f"{name}_per_vm" for name in _PER_VM))
"""The columns of a packing."""


def write_steps(judged: Judged[PackPlan, PackResult], stream: TextIO) -> None:
    """Write the header line and the rows; a cell is empty when its number is not known."""
    writer = csv.DictWriter(stream, STEP_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in judged.result.curve:
        per_vm = {f"{name}_per_vm": _known(getattr(row, name)) for name in _PER_VM}
        writer.writerow({"vms": row.vms, "started_vms": row.tried, "start_s": f"{row.start_s:.6f}", **per_vm})


def _known(value: float) -> str:
    return "" if value < 0 else f"{value:.2f}"
