"""Deployments whose VMs have cgroups: a death and a slow start are explained by the limits that were met."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from deploy.limits.groups import Group, limits_met
from deploy.vms.api import VmFacts, VmRequest
from deploy.vms.base import BaseDeployment
from deploy.vms.setup import last_log_lines


class LimitedDeployment(BaseDeployment):
    """A base of deployments whose VMs have cgroups."""

    def __init__(self, request: VmRequest, facts: VmFacts) -> None:
        """A deployment that is not started."""
        super().__init__(request, facts)
        self.groups: Mapping[str, Group] = {}
        """The cgroups of each VM, by its name; known once the deployment is entered."""

    def died(self, name: str, reason: str) -> None:
        """Report that a VM has died, and which limit it met."""
        super().died(name, "; ".join([reason, *self._limits_met(name)]))

    def explained(self, name: str, directory: Path) -> str:
        """Why a VM does not serve: the last lines of its logs in `directory`, and the limits that it met."""
        said = last_log_lines(directory)
        return "; ".join([*([said] if said else []), *self._limits_met(name)])

    def _limits_met(self, name: str) -> list[str]:
        return limits_met(self.groups[name]) if name in self.groups else []
