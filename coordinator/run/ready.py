"""Checks of a plan that read files or look at the load machines: the plan itself cannot make them."""

from __future__ import annotations

import dataclasses
import ipaddress

from coordinator.fleet.choice import FleetChoice
from loadgen.model.derived import once
from loadgen.model.errors import PlanError
from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_request import with_braces
from loadgen.model.http_secrets import hidden
from loadgen.model.plan import SpecPlan
from loadgen.model.secrets import MASK


def check_reach(plan: SpecPlan, choice: FleetChoice) -> None:
    """Raise PlanError when the load machines cannot reach the VMs that the plan starts."""
    if not choice.is_here and not plan.targets and ipaddress.ip_address(plan.vm_hosts[0]).is_loopback:
        raise PlanError(
            f"the VMs listen at {plan.vm_address}, where load machines cannot reach them",
            hint="give an address of this machine with --vm-address, or servers elsewhere with --targets",
        )


def with_data(plan: HttpPlan) -> HttpPlan:
    """Return the plan with its data file as it is now.

    Raises PlanError when the file cannot be read, is not the one that the plan describes, or gives nothing to requests.
    """
    if plan.data.file:
        from workloads.http.data import settled

        plan = dataclasses.replace(plan, data=settled(plan.data))
    plan.check_values()
    if plan.data.file and not any(
        value.is_column for _, one in once(plan.requests, with_braces) for value in one.values
    ):
        columns = ", ".join(f"{{{{{name}}}}}" for name in plan.data.columns[:5])
        raise PlanError(
            f"no request uses a column of {plan.data.file}", hint=f"write {columns} in a URL, a header or a body"
        )
    return plan


def check_credentials(plan: HttpPlan) -> None:
    """Raise PlanError when secrets of the plan are masked, or its certificates or its key cannot be used."""
    if parts := hidden(plan):
        raise PlanError(
            f"the plan does not hold its secrets (they are {MASK}): give them again, with {', '.join(parts)}",
            hint="with --record-secrets, the record of a run and --print-plan keep them",
        )
    if plan.tls_ca or plan.tls_cert:
        from coordinator.run.tls_files import tls_settings
        from loadgen.engine.tls import check_settings

        check_settings(tls_settings(plan))
