"""The common parts of the documents of `loadgen iperf` and `loadgen forward`.

A number that is not known is null.  `results[].runs[]` hold each test in the terms of iperf3's own document; they are
for programs, and are not read back.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from coordinator.record.checks import read_trust, write_trust
from coordinator.record.header import Header
from coordinator.record.latency import latency_part, without_derived
from loadgen.measure.forwarding import Passage
from loadgen.measure.throughput import NO_LATENCY, UNKNOWN, Latency, ProbeResult
from loadgen.model.plain import from_plain, to_plain
from loadgen.model.probe import ForwardPlan, IperfPlan
from loadgen.verdict.network_result import ForwardResult, ForwardRow, IperfResult, IperfRow, LatencyRow, NicProof
from loadgen.verdict.result import Verdict

_ADDED = frozenset(
    {
        "connections_limited_by",
        "duplicates",
        "fastest_stream_mbit_per_s",
        "limited_by",
        "limited_here",
        "sink_busy",
        "slowest_stream_mbit_per_s",
        "source_busy",
    }
)
"""Fields of rows that records of 0.1 lack."""

R = TypeVar("R", IperfRow, ForwardRow, LatencyRow, NicProof)


@dataclass(frozen=True, slots=True)
class Kept:
    """A finished test as it goes into a record's intervals: `writer.append([Kept(result)])`."""

    value: ProbeResult | Passage

    def to_wire(self) -> Mapping[str, Any]:
        """The test as plain data."""
        wire: Mapping[str, Any] = to_plain(self.value)
        return wire


def write_head(
    header: Header[IperfPlan] | Header[ForwardPlan], result: IperfResult | ForwardResult | None
) -> dict[str, Any]:
    """The first part of the body, which both kinds have."""
    return {
        "notes": result.notes if result else (),
        "trust": write_trust(result.trust if result else None),
        "plan": header.plan.to_dict(),
    }


def read_head(document: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that the results of both kinds have."""
    return {
        "verdict": Verdict(document["verdict"]),
        "reasons": tuple(document["reasons"]),
        "notes": tuple(document["notes"]),
        "trust": read_trust(document["trust"]),
        "asked": document["plan"]["at_least_bps"] > 0,
    }


def write_row(row: IperfRow | ForwardRow | LatencyRow | NicProof) -> dict[str, Any]:
    """A row with null for unknown values; fields that 0.1 did not have are left out when they have their default."""
    plain: dict[str, Any] = _with_null(to_plain(row))
    return _without_defaults(plain, type(row))


def write_latency(latency: Latency, data: Mapping[str, Any]) -> dict[str, Any]:
    """`data` with its `latency` and the transactions a second; null where no latency was measured."""
    found = None if latency == NO_LATENCY else latency_part(latency, data["latency"])
    return {**data, "latency": found}


def read_row(kind: type[R], data: Mapping[str, Any], *, leave: tuple[str, ...] = ()) -> R:
    """A row without the fields `leave`, which follow from the others.  Raises PlanError on anything else."""
    plain = {name: value for name, value in data.items() if name not in leave}
    if "latency" in plain:
        latency = plain["latency"]
        plain["latency"] = to_plain(NO_LATENCY) if latency is None else without_derived(latency)
    return from_plain(kind, _without_null(plain))


def or_null(value: float) -> float | None:
    """The value, or None when it is UNKNOWN."""
    return None if value == UNKNOWN else value


def _without_defaults(plain: dict[str, Any], kind: type[Any]) -> dict[str, Any]:
    """`plain` without the fields in `_ADDED` that have their default: a record of 0.1 is written again as it was."""
    defaults = {field.name: _with_null(to_plain(field.default)) for field in dataclasses.fields(kind)}
    return {name: value for name, value in plain.items() if name not in _ADDED or value != defaults[name]}


def _with_null(value: Any) -> Any:
    """Replace UNKNOWN by null; no other recorded value is -1."""
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
