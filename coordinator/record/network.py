"""run.json of `loadgen iperf` and `loadgen forward`: from a run's values and back.

Both share their head and foot with the other kinds (:mod:`coordinator.record.document`); the format is described
by `run.schema.json` beside this file.  A number that is not known is null.  `results[].runs[]` hold each test
in the terms of iperf3's own document; they are for programs, and are not read back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from coordinator.record.document import (
    KIND_FORWARD,
    KIND_IPERF,
    UNFINISHED,
    make_document,
    read_trust,
    trust_part,
)
from coordinator.record.environment import Environment
from coordinator.record.iperf3 import bare_run_document, run_document
from loadgen.measure.forwarding import HostReport, Passage
from loadgen.measure.throughput import NO_LATENCY, UNKNOWN, ProbeResult
from loadgen.model.plain import from_plain, to_plain
from loadgen.model.probe import ForwardPlan, IperfPlan, Kind
from loadgen.verdict.network_result import ForwardResult, ForwardRow, IperfResult, IperfRow, LatencyRow, NicProof
from loadgen.verdict.result import Verdict

P = TypeVar("P", IperfPlan, ForwardPlan)
R = TypeVar("R", IperfRow, ForwardRow, LatencyRow, NicProof)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkHeader(Generic[P]):
    """What is known of a network run before it begins.  `started_at` is ISO 8601 with a zone."""

    started_at: str
    plan: P
    environment: Environment


@dataclass(frozen=True, slots=True)
class Kept:
    """A finished test as it goes into a record's intervals: `writer.append([Kept(result)])`."""

    value: ProbeResult | Passage

    def to_wire(self) -> Mapping[str, Any]:
        """As plain data."""
        wire: Mapping[str, Any] = to_plain(self.value)
        return wire


def iperf_unfinished(header: NetworkHeader[IperfPlan]) -> dict[str, Any]:
    """The document of a run that has only begun."""
    return make_document(KIND_IPERF, header, "", _head(header, None) | {"peer": None, "results": []})


def iperf_finished(header: NetworkHeader[IperfPlan], result: IperfResult, *, finished_at: str) -> dict[str, Any]:
    """The document of a run that ended, in whatever way."""
    rows = [_iperf_row(row, result.measured) for row in result.rows]
    body = _head(header, result) | {"peer": result.peer or None, "results": rows}
    return make_document(KIND_IPERF, header, finished_at, body)


def iperf_header_of(document: Mapping[str, Any]) -> NetworkHeader[IperfPlan]:
    """The header that a document was made from.  KeyError, TypeError, ValueError or PlanError when it is none."""
    return NetworkHeader(
        started_at=document["started_at"],
        plan=IperfPlan.from_dict(document["plan"]),
        environment=Environment.from_dict(document["environment"]),
    )


def iperf_from_document(document: Mapping[str, Any]) -> IperfResult:
    """The result that a finished document was made from, without what was measured.  Errors as above."""
    rows = tuple(_read(IperfRow, data, leave=("mbit_per_s", "cpu_s_per_gb", "runs")) for data in document["results"])
    return IperfResult(**_read_head(document), rows=rows, peer=document["peer"] or "")


def forward_unfinished(header: NetworkHeader[ForwardPlan]) -> dict[str, Any]:
    """The document of a run that has only begun."""
    body = _head(header, None) | {"results": [], "latencies": [], "nics": []}
    return make_document(KIND_FORWARD, header, "", body)


def forward_finished(header: NetworkHeader[ForwardPlan], result: ForwardResult, *, finished_at: str) -> dict[str, Any]:
    """The document of a run that ended, in whatever way."""
    body = _head(header, result) | {
        "results": [_forward_row(row, result.measured) for row in result.rows],
        "latencies": [_latency_row(row) for row in result.latencies],
        "nics": [_with_null(to_plain(proof)) for proof in result.proofs],
    }
    return make_document(KIND_FORWARD, header, finished_at, body)


def forward_header_of(document: Mapping[str, Any]) -> NetworkHeader[ForwardPlan]:
    """As :func:`iperf_header_of`."""
    return NetworkHeader(
        started_at=document["started_at"],
        plan=ForwardPlan.from_dict(document["plan"]),
        environment=Environment.from_dict(document["environment"]),
    )


def forward_from_document(document: Mapping[str, Any]) -> ForwardResult:
    """As :func:`iperf_from_document`."""
    return ForwardResult(
        **_read_head(document),
        rows=tuple(_read(ForwardRow, data, leave=("cpu_s_per_gb", "runs")) for data in document["results"]),
        latencies=tuple(_read(LatencyRow, data) for data in document["latencies"]),
        proofs=tuple(_read(NicProof, data) for data in document["nics"]),
    )


def _head(
    header: NetworkHeader[IperfPlan] | NetworkHeader[ForwardPlan], result: IperfResult | ForwardResult | None
) -> dict[str, Any]:
    return {
        "verdict": result.verdict.value if result else UNFINISHED,
        "exit_code": int(result.exit_code) if result else None,
        "reasons": result.reasons if result else (),
        "notes": result.notes if result else (),
        "trust": trust_part(result.trust if result else None),
        "plan": header.plan.to_dict(),
    }


def _read_head(document: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "verdict": Verdict(document["verdict"]),
        "reasons": tuple(document["reasons"]),
        "notes": tuple(document["notes"]),
        "trust": read_trust(document["trust"]),
        "asked": document["plan"]["at_least_bps"] > 0,
    }


def _iperf_row(row: IperfRow, measured: tuple[ProbeResult, ...]) -> dict[str, Any]:
    runs = [
        run_document(one)
        for one in measured
        if (one.test.window_bytes, one.test.direction) == (row.window_bytes, row.direction)
    ]
    rate = row.mbit_per_s if row.rates else None  # of a request/response test there is none
    promised = {"mbit_per_s": rate, "cpu_s_per_gb": _or_null(row.cpu_s_per_gb), "runs": runs}
    return _latency(row, _with_null(to_plain(row))) | promised


def _forward_row(row: ForwardRow, measured: tuple[Passage, ...]) -> dict[str, Any]:
    key = (row.link, row.mode, row.window_bytes, row.flows)
    runs = [
        _passage(one)
        for one in measured
        if (one.link, one.mode, one.window_bytes, one.flows) == key and one.result.test.kind is Kind.STREAM
    ]
    promised = {"cpu_s_per_gb": _or_null(row.proxy_cpu_s_per_gb), "runs": runs}
    return {**_with_null(to_plain(row)), **promised}


def _passage(passage: Passage) -> dict[str, Any]:
    """A test in iperf3's terms, without its streams (there may be hundreds), and what its proxy host counted.

    `proxy` is null without one.
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


def _latency_row(row: LatencyRow) -> dict[str, Any]:
    return _latency(row, _with_null(to_plain(row)))


def _latency(row: IperfRow | LatencyRow, data: dict[str, Any]) -> dict[str, Any]:
    """`latency` with its transactions a second; null where none was measured."""
    found = None if row.latency == NO_LATENCY else {**data["latency"], "per_s": row.latency.per_s}
    return {**data, "latency": found}


def _read(kind: type[R], data: Mapping[str, Any], *, leave: tuple[str, ...] = ()) -> R:
    plain = {name: value for name, value in data.items() if name not in leave}
    if "latency" in plain:
        latency = plain["latency"]
        plain["latency"] = (
            to_plain(NO_LATENCY) if latency is None else {k: v for k, v in latency.items() if k != "per_s"}
        )
    return from_plain(kind, _without_null(plain))


def _or_null(value: float) -> float | None:
    return None if value == UNKNOWN else value


def _with_null(value: Any) -> Any:
    """What is UNKNOWN becomes null; nothing else that is recorded is ever -1."""
    if isinstance(value, dict):
        return {name: _with_null(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_null(item) for item in value]
    return None if type(value) in (int, float) and value == UNKNOWN else value


def _without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_null(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_null(item) for item in value]
    return UNKNOWN if value is None else value
