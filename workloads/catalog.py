"""The workloads that runs of operation tapes can play, by the name of the command that plays them.

To add a workload: write a class that keeps :class:`workloads.api.Workload` and add a line here.
"""

from __future__ import annotations

import pkgutil
from typing import Any

from loadgen.model.errors import PlanError
from workloads.api import Workload

_CLASSES = {
    "http": "workloads.http.workload:Http",
    "spec": "workloads.specweb99.workload:Specweb99",
}


def names() -> tuple[str, ...]:
    """The names that :func:`choose` knows."""
    return tuple(_CLASSES)


def choose(name: str) -> Workload[Any]:
    """The workload of that name, imported now; raises PlanError for an unknown name."""
    if name not in _CLASSES:
        raise PlanError(f"there is no workload {name!r}", hint=f"choose one of {', '.join(_CLASSES)}")
    workload: Workload[Any] = pkgutil.resolve_name(_CLASSES[name])()
    return workload
