"""The driver `inventory`: servers that run already, on this machine or elsewhere; nothing is started or ended."""

from __future__ import annotations

from contextlib import AsyncExitStack

from deploy.ask import ask_all
from deploy.vms.api import VmFacts, VmRequest
from deploy.vms.base import BaseDeployment
from deploy.vms.reach import reach
from loadgen.model.errors import PlanError, TargetError
from loadgen.model.target import Target


class Inventory:
    """A :class:`deploy.vms.api.VmDriver` that uses the targets of the request."""

    starts_servers = False

    def prepare(self, request: VmRequest) -> GivenServers:
        """The request's targets; raises PlanError when it has none."""
        if not request.targets:
            raise PlanError("the VM driver inventory needs targets", hint="list the servers in a file for --targets")
        return GivenServers(request)


class GivenServers(BaseDeployment):
    """Servers that others run.  They are checked once, at the start; some may be missing, but not all.

    Nothing is known of their software, and their deaths cannot be seen.
    """

    def __init__(self, request: VmRequest) -> None:
        super().__init__(request, VmFacts(driver="inventory", server="given", version="", config=""))

    async def start(self, ends: AsyncExitStack) -> tuple[Target, ...]:
        """Check each server; returns all targets, and sets a notice for each that cannot be used."""
        request = self.request
        if request.proof_path:
            self.notices = await _probe(request)
        else:
            named = zip(request.targets, request.dialed or request.targets, strict=True)
            found = reach(
                list(named),
                verify=request.tls_verify,
                settings=request.tls,
                version=request.ip_version,
                http2=request.http2,
            )
            self.notices = tuple(await found)
        return request.targets


async def _probe(request: VmRequest) -> tuple[str, ...]:
    """One line for each server that does not answer `proof_path`; raises TargetError when none answers."""
    answers = await ask_all(request.targets, request.proof_path)
    missing = tuple(
        f"target {target.name} ({target.authority}): {answer.problem}"
        for target, answer in zip(request.targets, answers, strict=True)
        if answer.problem
    )
    if len(missing) == len(request.targets):
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise TargetError(
            missing[0] + more,
            hint=f"each server must serve {request.content}; see loadgen serve and loadgen fileset",
        )
    return missing
