"""The common base of all deployments: start step by step, end in reverse order, deaths in a queue."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from deploy.vms.api import VmDeath, VmFacts, VmRequest
from loadgen.model.target import Target


class BaseDeployment(ABC):
    """A :class:`deploy.vms.api.Deployment` for which a driver writes :meth:`start` only."""

    def __init__(self, request: VmRequest, facts: VmFacts) -> None:
        """A deployment that is not started; `start` may replace `facts`, and set `notices`."""
        self.request = request
        self.facts = facts
        self.targets: tuple[Target, ...] = ()
        self.notices: tuple[str, ...] = ()
        self._ends = AsyncExitStack()
        self._deaths: asyncio.Queue[VmDeath | None] = asyncio.Queue()

    @abstractmethod
    async def start(self, ends: AsyncExitStack) -> tuple[Target, ...]:
        """Start every VM and wait until it serves; returns the targets.

        Each step registers on `ends`, before it begins, how it is ended: all of these are called when the deployment
        is left, and when `start` fails or is cancelled.  Raises PlanError or TargetError.
        """

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as ends:
            self.targets = await self.start(ends)
            self._ends = ends.pop_all()
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

    def counters(self) -> Mapping[str, Mapping[str, int]]:
        """None, unless a driver overrides it."""
        return {}
