"""The common base of all deployments: start step by step, end in reverse order, deaths in a queue."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self, TypeVar

from deploy.counters.place import VmPlace
from deploy.vms.api import VmDeath, VmFacts, VmRequest
from deploy.vms.probe import wait_until_ready
from loadgen.model.errors import LoadgenError, TargetError
from loadgen.model.target import Target

T = TypeVar("T")

_READY_PER_VM_S = 0.1


class BaseDeployment(ABC):
    """A :class:`deploy.vms.api.Deployment` for which a driver writes :meth:`start` only."""

    ready_s = 15.0
    """How long :meth:`wait_until_serving` waits for VMs, plus 0.1 s per VM; a driver whose VMs boot sets more."""

    def __init__(self, request: VmRequest, facts: VmFacts) -> None:
        """A deployment that is not started; `start` may replace `facts`, and set `notices`."""
        self.request = request
        self.facts = facts
        self.targets: tuple[Target, ...] = ()
        self.notices: tuple[str, ...] = ()
        self._ends = AsyncExitStack()
        self._deaths: asyncio.Queue[VmDeath | None] = asyncio.Queue()

    def places(self) -> Mapping[str, VmPlace]:
        """Nothing is known of the VMs' places; a driver that knows them says so."""
        return {}

    @abstractmethod
    async def start(self, ends: AsyncExitStack) -> tuple[Target, ...]:
        """Start every VM and wait until it serves; returns the targets.

        Everything that is registered on `ends` is called, in reverse order, when the deployment is left, and when
        `start` fails or is cancelled.  Register the end of a thing before the first `await` at which it may exist.
        Raises PlanError or TargetError.
        """

    async def __aenter__(self) -> Self:
        failed: LoadgenError | None = None
        try:
            async with AsyncExitStack() as ends:
                try:
                    self.targets = await self.start(ends)
                except LoadgenError as error:
                    failed = error
                    raise
                self._ends = ends.pop_all()
        except LoadgenError as error:
            if failed is None or error is failed:
                raise
            failed.hint = "; ".join(filter(None, (failed.hint, error.message, error.hint)))  # why, then what is left
            raise failed from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End all started processes.  Further calls do nothing."""
        self._deaths.put_nowait(None)
        await self._ends.aclose()

    def died(self, name: str, reason: str) -> None:
        """Report that a VM has died."""
        self._deaths.put_nowait(VmDeath(name=name, reason=reason))

    async def deaths(self) -> AsyncIterator[VmDeath]:
        """Each death when it happens, until the deployment is left.  For one reader."""
        while (death := await self._deaths.get()) is not None:
            yield death

    async def wait_until_serving(
        self, targets: Sequence[Target], explain: Callable[[str], str] = lambda name: ""
    ) -> None:
        """Wait until every target answers the request's `proof_path` and `app_path`; for :meth:`start`.

        Raises TargetError when a target does not serve in time (`explain` gives the hint by the name of the target),
        and at once when a death is reported: a process that ended explains more than a missing answer.
        """
        paths = [path for path in (self.request.proof_path, self.request.app_path) if path]
        timeout_s = self.ready_s + _READY_PER_VM_S * len(targets)
        await self.unless_one_dies(wait_until_ready(targets, paths, timeout_s, explain))

    async def unless_one_dies(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a part of :meth:`start`, which is cancelled when a death is reported.

        Raises TargetError then.
        """
        working = asyncio.create_task(work)
        death = asyncio.create_task(self._deaths.get())
        try:
            await asyncio.wait((working, death), return_when=asyncio.FIRST_COMPLETED)
            if death.done() and (found := death.result()) is not None:
                raise TargetError(f"{found.name} did not start: {found.reason}", hint=_hint(found.reason))
            return await working
        finally:
            for task in (working, death):
                task.cancel()
            await asyncio.gather(working, death, return_exceptions=True)


def vm_names(count: int) -> tuple[str, ...]:
    """vm01, vm02 and so on, all of one length."""
    width = max(2, len(str(count)))
    return tuple(f"vm{number:0{width}d}" for number in range(1, count + 1))


def _hint(reason: str) -> str:
    taken = "ddress already in use" in reason
    return "another program took the port; choose other ports, or 0 for any free ones" if taken else ""
