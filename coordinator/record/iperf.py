"""run.json of a `loadgen iperf` run: the part that no other kind has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coordinator.record.header import Header
from coordinator.record.iperf3 import run_document
from coordinator.record.kind import RecordKind
from coordinator.record.network import or_null, read_head, read_row, write_head, write_latency, write_row
from loadgen.measure.throughput import ProbeResult
from loadgen.model.plain import from_plain
from loadgen.model.probe import IperfPlan
from loadgen.verdict.network_result import IperfResult, IperfRow

_DERIVED = ("mbit_per_s", "interval", "cpu_s_per_gb", "runs")
"""Fields of a row in the document that follow from other fields, or that are not read back."""


def _write(header: Header[IperfPlan], result: IperfResult | None) -> dict[str, Any]:
    if result is None:
        return write_head(header, None) | {"peer": None, "results": []}
    rows = [_row(row, result.measured) for row in result.rows]
    return write_head(header, result) | {"peer": result.peer or None, "results": rows}


def _row(row: IperfRow, measured: tuple[ProbeResult, ...]) -> dict[str, Any]:
    runs = [
        run_document(one)
        for one in measured
        if (one.test.window_bytes, one.test.direction) == (row.window_bytes, row.direction)
    ]
    rate = row.mbit_per_s if row.rates else None  # a request/response test has none
    promised: dict[str, Any] = {"mbit_per_s": rate, "cpu_s_per_gb": or_null(row.cpu_s_per_gb), "runs": runs}
    if row.limited_here and rate is not None:
        promised["interval"] = {"low_mbit_per_s": rate, "high_mbit_per_s": None}
    return write_latency(row.latency, write_row(row)) | promised


def _read(document: Mapping[str, Any]) -> IperfResult:
    """The result without its measurements, which the document holds only in part."""
    rows = tuple(read_row(IperfRow, data, leave=_DERIVED) for data in document["results"])
    return IperfResult(**read_head(document), rows=rows, peer=document["peer"] or "")


IPERF = RecordKind(
    read_plan=IperfPlan.from_dict,
    write=_write,
    read=_read,
    measured=lambda plain: (from_plain(ProbeResult, plain),),
    on_fleet=False,
)
