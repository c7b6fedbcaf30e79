"""Our own server: aiohttp on uvloop, one process a VM.  Always there."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import version

from deploy.servers.base import Setup, Vm
from deploy.wire import AppWorker, Launch
from loadgen.model.plan import Server


@dataclass(frozen=True, slots=True)
class Builtin:
    """The app itself on the VM's port, forked from a warm parent, so that most of its memory is shared."""

    version: str
    kind: Server = Server.BUILTIN

    def files_needed(self, connections: int) -> int:
        """A connection, the file it sends, and as many that are closing."""
        return 3 * connections + 64

    def setup(self, vm: Vm) -> Setup:
        """It has no configuration file: what would be in one is in the arguments."""
        app = AppWorker(docroot=str(vm.docroot), workdir=str(vm.app_dir), static=True, host=vm.host, port=vm.port)
        return Setup(launch=Launch(vm=vm.name, directory=str(vm.workdir), app=app), config="")


def find() -> Builtin:
    """Its version is that of what it is made of."""
    return Builtin(f"aiohttp/{version('aiohttp')} uvloop/{version('uvloop')} Python/{platform.python_version()}")
