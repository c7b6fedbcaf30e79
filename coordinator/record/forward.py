"""run.json of a `loadgen forward` run: the part that no other kind has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from coordinator.record.header import Header
from coordinator.record.iperf3 import bare_run_document
from coordinator.record.kind import RecordKind
from coordinator.record.network import or_null, read_head, read_row, write_head, write_latency, write_row
from loadgen.measure.forwarding import HostReport, Passage
from loadgen.model.plain import from_plain, to_plain
from loadgen.model.probe import ForwardPlan, Kind
from loadgen.verdict.network_result import ForwardResult, ForwardRow, LatencyRow, NicProof


def _write(header: Header[ForwardPlan], result: ForwardResult | None) -> dict[str, Any]:
    if result is None:
        return write_head(header, None) | {"results": [], "latencies": [], "nics": []}
    return write_head(header, result) | {
        "results": [_row(row, result.measured) for row in result.rows],
        "latencies": [write_latency(row.latency, write_row(row)) for row in result.latencies],
        "nics": [write_row(proof) for proof in result.proofs],
    }


def _row(row: ForwardRow, measured: tuple[Passage, ...]) -> dict[str, Any]:
    key = (row.link, row.mode, row.window_bytes, row.flows)
    runs = [
        _passage(one)
        for one in measured
        if (one.link, one.mode, one.window_bytes, one.flows) == key and one.result.test.kind is Kind.STREAM
    ]
    interval = {"low_mbit_per_s": row.mbit_per_s, "high_mbit_per_s": None}
    bound = {"interval": interval} if row.limited_by_end else {}
    return {**write_row(row), **bound, "cpu_s_per_gb": or_null(row.proxy_cpu_s_per_gb), "runs": runs}


def _passage(passage: Passage) -> dict[str, Any]:
    """A test in iperf3's terms, without its streams (there may be hundreds), and what its proxy host counted.

    `proxy` is null without a proxy host.
    """
    before, after = passage.before, passage.after
    counted = {
        "cpu_s": (after.cpu_ns - before.cpu_ns) / 1e9,
        "memory_bytes": after.memory_bytes,
        "nics": list(_nics(before, after)),
    }
    return {**bare_run_document(passage.result), "proxy": counted if before.version and after.version else None}


def _nics(before: HostReport, after: HostReport) -> Iterator[dict[str, Any]]:
    then = {nic.name: nic for nic in before.nics}
    for nic in after.nics:
        if nic.name in then:
            was = to_plain(then[nic.name])
            counted = {name: value - was[name] for name, value in to_plain(nic).items() if name != "name"}
            yield {"name": nic.name, **counted}


def _read(document: Mapping[str, Any]) -> ForwardResult:
    """The result without its measurements, which the document holds only in part."""
    return ForwardResult(
        **read_head(document),
        rows=tuple(
            read_row(ForwardRow, data, leave=("interval", "cpu_s_per_gb", "runs")) for data in document["results"]
        ),
        latencies=tuple(read_row(LatencyRow, data) for data in document["latencies"]),
        proofs=tuple(read_row(NicProof, data) for data in document["nics"]),
    )


FORWARD = RecordKind(
    read_plan=ForwardPlan.from_dict,
    write=_write,
    read=_read,
    measured=lambda plain: (from_plain(Passage, plain),),
    on_fleet=False,
)
