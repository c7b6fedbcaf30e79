"""The workloads that runs of operation tapes can play, by name.

To add a workload of `loadgen spec`: write a class that keeps :class:`workloads.api.Workload` and add an entry here.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from loadgen.model.errors import PlanError
from loadgen.model.plan import SpecPlan

if TYPE_CHECKING:
    from workloads.api import Workload  # it imports numpy, and the command line reads this catalog


class SpecEntry(NamedTuple):
    """A workload of `loadgen spec`.

    `place` is its class, `summary` is for help texts, and `style` begins the titles of its reports.  `defaults` names
    the fields of a SpecPlan, as plain data, that have other defaults with this workload; "" for none.
    """

    place: str
    summary: str
    style: str
    defaults: str = ""


SPEC: Mapping[str, SpecEntry] = {
    "specweb99": SpecEntry(
        "workloads.specweb99.workload:Specweb99",
        "small files and dynamic pages, judged by the rate of connections",
        "SPECweb99-style",
    ),
    "support": SpecEntry(
        "workloads.support.workload:Support",
        "pages with think times, and long downloads, by default with --bound time:3s/5s for pages, --line-speed 800k "
        "and --paced-reads",
        "SPECweb2005-style support",
        "workloads.support.facts:DEFAULTS",
    ),
    "banking": SpecEntry(
        "workloads.banking.workload:Banking",
        "pages with embedded images over two TCP connections, and think times, by default with --line-speed 1600k, "
        "--bound time:2s/4s and --paced-reads",
        "SPECweb2005-style banking",
        "workloads.banking.facts:DEFAULTS",
    ),
}
"""The workloads of `loadgen spec`; the first is the default."""

DEFAULT = next(iter(SPEC))

_PLACES = {"http": "workloads.http.workload:Http", **{name: entry.place for name, entry in SPEC.items()}}


def names() -> tuple[str, ...]:
    """The names that :func:`choose` knows."""
    return tuple(_PLACES)


def choose(name: str) -> Workload[Any]:
    """The workload of that name, imported now; raises PlanError for an unknown name."""
    if name not in _PLACES:
        raise PlanError(f"there is no workload {name!r}", hint=f"choose one of {', '.join(_PLACES)}")
    workload: Workload[Any] = pkgutil.resolve_name(_PLACES[name])()
    return workload


def of_spec(plan: SpecPlan) -> Workload[SpecPlan]:
    """The workload of a plan of `loadgen spec`; raises PlanError for an unknown name."""
    _entry(plan.workload)
    return choose(plan.workload or DEFAULT)


def tcp_connections(plan: SpecPlan) -> int:
    """The TCP connections that each server of a plan must take at once.  Raises PlanError as :func:`of_spec` does."""
    return plan.connections * of_spec(plan).counting(plan).lanes


def style_of(plan: SpecPlan) -> str:
    """What the results of a plan are called: `SPECweb99-style`.  Raises PlanError for an unknown workload."""
    return _entry(plan.workload).style


def defaults_of(name: str) -> Mapping[str, Any]:
    """The fields of a SpecPlan that have other defaults with this workload, as plain data; "" for the default workload.

    Raises PlanError for an unknown name.
    """
    place = _entry(name).defaults
    found: Mapping[str, Any] = pkgutil.resolve_name(place) if place else {}
    return found


def _entry(name: str) -> SpecEntry:
    if name and name not in SPEC:
        raise PlanError(f"loadgen spec has no workload {name!r}", hint=f"choose one of {', '.join(SPEC)}")
    return SPEC[name or DEFAULT]
