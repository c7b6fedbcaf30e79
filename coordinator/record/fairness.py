"""The fairness of a run in run.json."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from coordinator.record.span import read_span
from loadgen.verdict.fair_result import Clients, Differing, Fairness, Starved, VmShare, WorstTime

_FIRST = ("jain", "slowest_over_fastest", "slowest_over_fastest_by_chance")
"""What records of earlier versions have; those of 0.1.0 lack the last one."""


def write_fairness(found: Fairness) -> dict[str, Any]:
    """The fairness as plain data, without what a record of an earlier version does not say."""
    data = dataclasses.asdict(found)
    if found.verdict:
        return data
    return {name: data[name] for name in _FIRST if name != _FIRST[-1] or data[name] is not None}


def read_fairness(data: Mapping[str, Any]) -> Fairness:
    """The inverse of :func:`write_fairness`.  KeyError or TypeError for other data."""
    if "verdict" not in data:
        return Fairness(**data)
    worst, clients = data["worst_p99"], data["clients"]
    return Fairness(
        **{
            **data,
            "differing": _differing(data["differing"]),
            "passing": _differing(data["passing"]),
            "starved": tuple(Starved(**{**one, "iterations": tuple(one["iterations"])}) for one in data["starved"]),
            "worst_p99": None if worst is None else WorstTime(**{**worst, "p99_ms": read_span(worst["p99_ms"])}),
            "clients": None
            if clients is None
            else Clients(**{**clients, "differing": _differing(clients["differing"])}),
            "vms": tuple(VmShare(**{**one, "by_iteration": tuple(one["by_iteration"])}) for one in data["vms"]),
        }
    )


def _differing(data: Sequence[Mapping[str, Any]]) -> tuple[Differing, ...]:
    return tuple(Differing(**{**one, "iterations": tuple(one["iterations"])}) for one in data)
