"""The functions that the record needs for each kind of run, as one value; coordinator.record.catalog lists them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from coordinator.record.header import Header, Plan, Result
from loadgen.model.target import Target

T = TypeVar("T")
P = TypeVar("P", bound=Plan)
R = TypeVar("R", bound=Result)


def driven_targets(document: Mapping[str, Any], plan: object) -> tuple[Target, ...]:
    """The targets that a document lists; `()` when it lists none."""
    return tuple(Target(**target) for target in document.get("driven_targets", ()))


def _as_it_is(plan: T) -> T:
    """The plan, which holds no secrets."""
    return plan


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordKind(Generic[P, R]):
    """The functions that write and read one kind of record.

    `read_plan` makes the plan from its plain data.  `write` makes the part of the document that differs between
    kinds; its result is None for a run that has only begun.  `read` makes the result from a whole document.
    `measured` makes what was measured from one map of the record's intervals; it raises ValueError or PlanError on
    damage.  `targets` finds the servers that were driven.  `on_fleet` says whether load machines played the run.
    `conceal` masks the secrets of a plan.
    `runs` names the records below this one that hold the measurements, for a kind that is made of several runs.
    """

    read_plan: Callable[[dict[str, Any]], P]
    write: Callable[[Header[P], R | None], dict[str, Any]]
    read: Callable[[Mapping[str, Any]], R]
    measured: Callable[[Any], Sequence[Any]]
    targets: Callable[[Mapping[str, Any], P], tuple[Target, ...]] = driven_targets
    on_fleet: bool = True
    runs: Callable[[R], Sequence[str]] | None = None
    conceal: Callable[[P], P] = _as_it_is
