"""The VMs that run: one deployment after the other, all of them up until the end."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from pathlib import Path

from deploy.vms import catalog
from deploy.vms.api import Deployment, VmDriver, VmFacts, VmRequest
from loadgen.model.pack import PackPlan
from loadgen.model.plan import Server
from loadgen.model.target import Target

PROOF = "/file_set/index.html"
"""The file that each VM serves."""

_PAGE = "<!doctype html><title>loadgen pack</title><p>A VM of loadgen pack.</p>\n"
_APP = "coordinator.kinds.pack.page:make_app"
_DIGITS = 4


def document_root(cache: Path) -> Path:
    """The document root of all VMs, one small file, in the user's cache: it is made once and kept."""
    root = cache / "pack"
    file = root / PROOF.lstrip("/")
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_PAGE)
    return root


class Crowd:
    """The VMs of a plan, started with :meth:`add` and ended with :meth:`end`.

    `targets` have names that count through all deployments.  `deaths` has a sentence for each VM that ended by itself.
    """

    def __init__(self, plan: PackPlan, docroot: Path) -> None:
        """No VM runs yet.  Raises PlanError when the driver cannot start even one such VM on this machine."""
        self._plan = plan
        self._docroot = docroot
        self._up: list[Deployment] = []
        self._tries = 0
        self._readers: list[asyncio.Task[None]] = []
        self.targets: tuple[Target, ...] = ()
        self.deaths: tuple[str, ...] = ()
        self.facts: VmFacts | None = None
        self._driver: VmDriver = catalog.choose_for(plan.vm_driver, (), plan.vm_limits, plan.vm_address)
        self._driver.prepare(self._request(1, plan.part(0)))

    async def add(self, count: int) -> None:
        """Start VMs, and wait until they serve.  Raises PlanError or TargetError; none of these VMs remains then."""
        first = len(self.targets)
        request = self._request(count, self._plan.part(self._tries), first)
        self._tries += 1
        deployment = self._driver.prepare(request)
        if deployment.facts.server == Server.BUILTIN.value and not request.app:  # it is an application and nothing else
            deployment = self._driver.prepare(dataclasses.replace(request, app=_APP))
        await deployment.__aenter__()
        self._up.append(deployment)
        self.facts = self.facts or deployment.facts
        names = {
            target.name: f"vm{number:0{_DIGITS}d}" for number, target in enumerate(deployment.targets, start=first + 1)
        }
        self.targets += tuple(dataclasses.replace(target, name=names[target.name]) for target in deployment.targets)
        self._readers.append(asyncio.create_task(self._read_deaths(deployment, names)))

    def _request(self, count: int, address: str, first: int = 0) -> VmRequest:
        plan = self._plan
        return VmRequest(
            count=count,
            server=plan.server,
            address=address,
            base_port=plan.base_port + first if plan.base_port and not plan.is_network else plan.base_port,
            connections=plan.connections,
            docroots=(self._docroot,) * count,
            app=_APP if plan.server is Server.BUILTIN else "",
            proof_path=PROOF,
            content=f"the file {PROOF}",
            limits=plan.vm_limits,
            reserve_memory_bytes=plan.reserve_memory_bytes,
        )

    async def end(self, told: Callable[[int], None]) -> None:
        """End all VMs; `told` is called with the number of VMs that are left.  Further calls do nothing."""
        left = len(self.targets)

        async def end_one(deployment: Deployment) -> None:
            nonlocal left
            count = len(deployment.targets)
            await deployment.__aexit__(None, None, None)
            left -= count
            told(left)

        up, self._up = self._up, []
        ended = await asyncio.gather(*(end_one(one) for one in reversed(up)), return_exceptions=True)
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        for error in ended:
            if isinstance(error, BaseException):
                raise error

    async def _read_deaths(self, deployment: Deployment, names: dict[str, str]) -> None:
        async for death in deployment.deaths():
            self.deaths += (f"{names.get(death.name, death.name)} ended by itself: {death.reason}",)
