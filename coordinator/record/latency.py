"""The times of a request/response test as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loadgen.measure.throughput import Latency

_ADDED = ("unanswered", "stalled_ns", "lower_bounds")
"""Fields that records of 0.1 lack; they are left out when every transaction was answered."""

_DERIVED = ("per_s", "intervals")


def latency_part(latency: Latency, plain: Mapping[str, Any]) -> dict[str, Any]:
    """`plain` data of `latency` with the transactions per second, and an interval for each time that is a bound."""
    part = {name: value for name, value in plain.items() if latency.unanswered or name not in _ADDED}
    part["per_s"] = latency.per_s
    if latency.lower_bounds:
        part["intervals"] = {name: {"low": plain[name], "high": None} for name in latency.lower_bounds}
    return part


def without_derived(part: Mapping[str, Any]) -> dict[str, Any]:
    """The plain data of a latency from what :func:`latency_part` returned."""
    return {name: value for name, value in part.items() if name not in _DERIVED}
