"""The VM driver of CONTRIBUTING's recipe: one `python -m http.server` per VM."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack, suppress

from deploy.vms.api import VmFacts, VmRequest
from deploy.vms.base import BaseDeployment
from deploy.vms.ports import Reservation
from deploy.vms.probe import wait_until_ready
from loadgen.model.target import Target

READY_S = 20.0


class Toy:
    starts_servers = True

    def prepare(self, request: VmRequest) -> ToyVms:
        return ToyVms(request, VmFacts(driver="toy", server="http.server", version=sys.version, config=""))


class ToyVms(BaseDeployment):
    async def start(self, ends: AsyncExitStack) -> tuple[Target, ...]:
        held = ends.enter_context(Reservation(self.request.address, self.request.count, self.request.base_port))
        targets = tuple(Target(name=f"vm{port}", host=held.address, port=port) for port in held.ports)
        for target, docroot in zip(targets, self.request.docroots, strict=True):
            argv = ("-m", "http.server", str(target.port), "--bind", target.host, "--directory", str(docroot))
            server = await asyncio.create_subprocess_exec(sys.executable, *argv, stderr=asyncio.subprocess.DEVNULL)
            ended = asyncio.create_task(server.wait(), name=target.name)
            ended.add_done_callback(lambda task: self.died(task.get_name(), f"ended with status {task.result()}"))
            ends.push_async_callback(asyncio.wait, [ended])
            ends.enter_context(suppress(ProcessLookupError))
            ends.callback(server.kill)
        await wait_until_ready(targets, [self.request.proof_path], READY_S)
        return targets
