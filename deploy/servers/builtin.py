"""The builtin server: the application itself, on aiohttp and uvloop, one process per VM; always available."""

from __future__ import annotations

import platform
from dataclasses import dataclass, replace
from importlib.metadata import version

from deploy.servers.base import Setup, Vm
from deploy.wire import AppWorker, Launch
from loadgen.model.plan import Server


@dataclass(frozen=True, slots=True)
class Builtin:
    """The application on the port of the VM, forked from the warden, so that most of its memory is shared."""

    version: str
    kind: Server = Server.BUILTIN
    programs: tuple[str, ...] = ()

    def files_needed(self, connections: int) -> int:
        """Per connection: the connection, the file that it sends, and one that is closing."""
        return 3 * connections + 64

    def setup(self, vm: Vm) -> Setup:
        """Launch the application; there is no configuration file, since all settings are in the command."""
        app = AppWorker(docroot=str(vm.docroot), workdir=str(vm.app_dir), static=True, host=vm.host, port=vm.port)
        return Setup(launch=Launch(vm=vm.name, directory=str(vm.workdir), app=app), config="")

    def inheriting(self, setup: Setup, descriptor: int) -> Setup:
        """Launch the application with the listening socket."""
        app = setup.launch.app
        assert app is not None
        return replace(setup, launch=replace(setup.launch, app=replace(app, listening_fd=descriptor)))


def find() -> Builtin:
    """The builtin server; its version names the libraries that it consists of."""
    return Builtin(f"aiohttp/{version('aiohttp')} uvloop/{version('uvloop')} Python/{platform.python_version()}")
