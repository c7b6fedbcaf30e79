"""The ways to run VMs, by the name that `--vm-driver` takes.

To add a driver: write a class that keeps :class:`deploy.vms.api.VmDriver` and add an entry here.  Add its name to
`SET_LIMITS`, `GIVE_ADDRESSES` and `BOOT` where that is true of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from deploy.vms.api import VmDriver
from loadgen.model.addresses import is_network
from loadgen.model.entry import Entry
from loadgen.model.errors import PlanError
from loadgen.model.limits import NO_LIMITS, VmLimits
from loadgen.model.target import Target

DRIVERS = {
    "local": Entry("deploy.vms.local:Local", "web servers started on this machine"),
    "ns": Entry("deploy.vms.ns:Ns", "web servers in namespaces and cgroups of this machine, as root"),
    "oci": Entry("deploy.vms.oci:Oci", "web servers in containers of Docker or podman"),
    "qemu": Entry("deploy.vms.qemu:QemuDriver", "web servers in virtual machines of QEMU, with KVM where it works"),
    "inventory": Entry("deploy.vms.inventory:Inventory", "servers that run already, with --targets"),
}
"""By name: the class, which is imported when it is used, and its description in `loadgen spec --help`."""

SET_LIMITS = frozenset({"ns", "oci", "qemu"})
"""The drivers that set the limits of a request; the others are never asked with limits."""

GIVE_ADDRESSES = frozenset({"ns", "qemu"})
"""The drivers to which the address of a request may be a network."""

BOOT = frozenset({"qemu"})
"""The drivers whose VMs boot, which takes seconds: a trial of them asks for as little as possible."""


CONFINED = "ns"
"""The driver of commands that need VMs with limits, when the plan names none."""


def default_name(*, with_targets: bool) -> str:
    """The driver of a plan that names none: `with_targets` says whether the plan lists servers that run already."""
    return "inventory" if with_targets else "local"


def choose(name: str) -> VmDriver:
    """The driver of that name, imported now; raises PlanError for an unknown name."""
    if name not in DRIVERS:
        raise PlanError(f"there is no VM driver {name!r}", hint=f"choose one of {', '.join(DRIVERS)}")
    driver: VmDriver = DRIVERS[name].load()()
    return driver


def choose_for(name: str, targets: Sequence[Target], limits: VmLimits = NO_LIMITS, address: str = "") -> VmDriver:
    """The driver of a plan with these targets, limits and address of VMs; `name` is "" for the default.

    Raises PlanError for an unknown name, for targets of a driver that starts servers, for missing targets, and for
    limits or a network that the driver cannot give to VMs.
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
    if limits.given and name not in SET_LIMITS:
        raise PlanError(
            f"the VM driver {name} cannot limit VMs ({', '.join(limits.given)})",
            hint=f"choose one that can ({', '.join(sorted(SET_LIMITS))}) with --vm-driver, or leave out the limits",
        )
    if is_network(address) and name not in GIVE_ADDRESSES:
        raise PlanError(
            f"the VM driver {name} cannot give each VM an address of the network {address}",
            hint=f"choose one that can ({', '.join(sorted(GIVE_ADDRESSES))}) with --vm-driver, or give one address",
        )
    return driver
