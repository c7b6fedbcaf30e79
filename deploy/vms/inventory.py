"""The driver `inventory`: servers that run already, on this machine or elsewhere; nothing is started or ended."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from types import TracebackType

from deploy.ask import ask_all
from deploy.vms.api import VmDeath, VmFacts, VmRequest
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


class GivenServers:
    """Servers that others run.  When it is entered, they are checked once; some may be missing, but not all."""

    def __init__(self, request: VmRequest) -> None:
        self._request = request
        self._notices: tuple[str, ...] = ()
        self._entered = False

    async def __aenter__(self) -> GivenServers:
        """Check each server; raises TargetError when none can be used."""
        request = self._request
        if request.proof_path:
            self._notices = await _probe(request)
        else:
            self._notices = tuple(await reach(request.targets, verify=request.tls_verify))
        self._entered = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing was started, so nothing is ended."""

    @property
    def targets(self) -> tuple[Target, ...]:
        """The targets of the request, those that do not answer included."""
        return self._request.targets if self._entered else ()

    @property
    def notices(self) -> tuple[str, ...]:
        """One line for each server that cannot be used."""
        return self._notices

    @property
    def facts(self) -> VmFacts:
        """Nothing is known of the servers' software."""
        return VmFacts(driver="inventory", server="given", version="", config="")

    async def deaths(self) -> AsyncIterator[VmDeath]:
        """Ends at once: the processes of these servers cannot be watched."""
        none: tuple[VmDeath, ...] = ()
        for death in none:
            yield death

    def counters(self) -> Mapping[str, Mapping[str, int]]:
        """None: their hosts are not observed."""
        return {}


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
