"""Checks of a `loadgen spec` plan together with its load machines."""

from __future__ import annotations

import ipaddress

from coordinator.fleet.choice import FleetChoice
from loadgen.model.errors import PlanError
from loadgen.model.plan import SpecPlan


def check_reach(plan: SpecPlan, choice: FleetChoice) -> None:
    """Raise PlanError when the load machines cannot reach the VMs that the plan starts."""
    if not choice.is_here and not plan.targets and ipaddress.ip_address(plan.vm_hosts[0]).is_loopback:
        raise PlanError(
            f"the VMs listen at {plan.vm_address}, where load machines cannot reach them",
            hint="give an address of this machine with --vm-address, or servers elsewhere with --targets",
        )
