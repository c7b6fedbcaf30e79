"""Whether servers and load generator share a machine, as far as the record tells, and the sentence that says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coordinator.record.header import Header
from deploy.vms.catalog import default_name
from loadgen.model.http_plan import HttpPlan
from loadgen.model.plan import SpecPlan
from loadgen.model.probe import IperfPlan
from loadgen.model.target import Target
from loadgen.verdict.ports import is_loopback

_INVENTORY = default_name(with_targets=True)
_HERE = "local"
"""The way to a fleet of this machine alone."""
_BOTH_ENDS = "Both ends run on one machine (loopback address) and share its CPU."


def say_shared(header: Header[Any]) -> str:
    """The sentence on servers that share the cores of the load generator; "" when that is not known.

    A loopback address is that of the machine that connects to it, so what answers there runs on a load machine.  VMs
    that the run starts are on the machine of the command, which plays the load unless other load machines do.
    """
    plan = header.plan
    if isinstance(plan, SpecPlan) and not plan.targets:
        if plan.vm_driver == _INVENTORY or header.fleet is None or header.fleet.way != _HERE:
            return ""
        return "The load generator runs on the VMs' machine and takes CPU from them."
    if isinstance(plan, IperfPlan):
        return _BOTH_ENDS if is_loopback(plan.host) else ""
    dialed = _dialed(plan)
    near = sum(is_loopback(one.host) for one in dialed)
    if not near:
        return ""
    servers = f"{near:,} of {len(dialed):,} servers" if near < len(dialed) else f"the server{'s' * (near > 1)}"
    which = "loopback addresses" if near > 1 else "loopback address"
    whom = "them" if near > 1 else "it"
    return f"The load generator runs on the machine of {servers} ({which}) and takes CPU from {whom}."


def _dialed(plan: Any) -> Sequence[Target]:
    """Where connections go; () when that says nothing of the servers, as behind a proxy."""
    if isinstance(plan, SpecPlan):
        return plan.targets
    return plan.dialed if isinstance(plan, HttpPlan) and not plan.proxy else ()
