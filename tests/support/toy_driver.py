"""The VM driver of CONTRIBUTING's recipe: one aiohttp process per VM."""

import sys
from contextlib import AsyncExitStack

from deploy.vms.api import VmFacts, VmRequest
from deploy.vms.base import BaseDeployment, vm_names
from deploy.vms.ports import Reservation
from deploy.vms.processes import Processes
from deploy.wire import Launch
from loadgen.model.errors import PlanError
from loadgen.model.target import Target

CODE = """import pathlib, pkgutil, sys; from aiohttp import web; name, docroot, workdir, host, port = sys.argv[1:]
app = pkgutil.resolve_name(name)(pathlib.Path(docroot), pathlib.Path(workdir), True)
web.run_app(app, host=host, port=int(port))"""


class ToyVms(BaseDeployment):
    async def start(self, ends: AsyncExitStack) -> tuple[Target, ...]:
        held = ends.enter_context(Reservation(self.request.address, self.request.count, self.request.base_port))
        pairs = zip(vm_names(self.request.count), held.ports, strict=True)
        targets = tuple(Target(name=name, host=held.address, port=port) for name, port in pairs)
        processes = Processes([vm.name for vm in targets], self.died)
        directory = await processes.open(ends)
        for vm, docroot in zip(targets, self.request.docroots, strict=True):
            (own := directory / vm.name).mkdir()
            argv = sys.executable, "-P", "-c", CODE, self.request.app, str(docroot), str(own), vm.host, str(vm.port)
            processes.launch([Launch(vm=vm.name, directory=str(own), program=("aiohttp", *argv))])
        await self.wait_until_serving(targets)
        return targets


class Toy:
    starts_servers = True

    def prepare(self, request: VmRequest) -> ToyVms:
        if request.server.value not in ("auto", "builtin") or not request.app:
            raise PlanError("the VM driver toy runs applications with the builtin server only")
        return ToyVms(request, VmFacts(driver="toy", server="builtin", version=sys.version, config=""))
