"""The ways to run VMs, by the name that `--vm-driver` takes.

To add a driver: write a class that keeps :class:`deploy.vms.api.VmDriver` and add an entry here.
"""

from __future__ import annotations

from collections.abc import Sequence

from deploy.vms.api import VmDriver
from loadgen.model.entry import Entry
from loadgen.model.errors import PlanError
from loadgen.model.target import Target

DRIVERS = {
    "local": Entry("deploy.vms.local:Local", "web servers started on this machine"),
    "inventory": Entry("deploy.vms.inventory:Inventory", "servers that run already, with --targets"),
}
"""By name: the class, which is imported when it is used, and its description in `loadgen spec --help`."""


def default_name(*, with_targets: bool) -> str:
    """The driver of a plan that names none: `with_targets` says whether the plan lists servers that run already."""
    return "inventory" if with_targets else "local"


def choose(name: str) -> VmDriver:
    """The driver of that name, imported now; raises PlanError for an unknown name."""
    if name not in DRIVERS:
        raise PlanError(f"there is no VM driver {name!r}", hint=f"choose one of {', '.join(DRIVERS)}")
    driver: VmDriver = DRIVERS[name].load()()
    return driver


def choose_for(name: str, targets: Sequence[Target]) -> VmDriver:
    """The driver of a plan with these targets; `name` is "" for the default.

    Raises PlanError for an unknown name, for targets of a driver that starts servers, and for missing targets.
    """
    name = name or default_name(with_targets=bool(targets))
    driver = choose(name)
    if driver.starts_servers and targets:
        raise PlanError(
            f"the VM driver {name} starts servers itself, so it cannot be combined with targets",
            hint="leave out --vm-driver or --targets",
        )
    if not driver.starts_servers and not targets:
        raise PlanError(f"the VM driver {name} needs targets", hint="list the servers in a file for --targets")
    return driver
