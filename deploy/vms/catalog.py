"""The ways to run VMs, by the name that `--vm-driver` takes.

To add a driver: write a class that keeps :class:`deploy.vms.api.VmDriver` and add a line here.
"""

from __future__ import annotations

import pkgutil

from deploy.vms.api import VmDriver
from loadgen.model.errors import PlanError

_CLASSES = {
    "local": "deploy.vms.local:Local",
    "inventory": "deploy.vms.inventory:Inventory",
}


def names() -> tuple[str, ...]:
    """The names that :func:`choose` knows, the default first."""
    return tuple(_CLASSES)


def choose(name: str) -> VmDriver:
    """The driver of that name, imported now; raises PlanError for an unknown name."""
    if name not in _CLASSES:
        raise PlanError(f"there is no VM driver {name!r}", hint=f"choose one of {', '.join(_CLASSES)}")
    driver: VmDriver = pkgutil.resolve_name(_CLASSES[name])()
    return driver
