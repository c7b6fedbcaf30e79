"""The environment of containers of Docker or podman (:mod:`deploy.oci`), over the files of this machine.

Where no engine answers, podman is started as a service for each trial, below a supervisor that ends it when loadgen
dies.  Commands are run by the same code as in the other environments, :mod:`deploy.commands.running`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import deploy
from deploy.commands.api import Places, Ran
from deploy.commands.contained import LOG, SOCKET, WORK, encode_environment
from deploy.commands.supervised import MOST_LINE_BYTES, Supervised, names_of, supervised
from deploy.commands.wire import Open, Ready, Step, decode_ran
from deploy.limits.groups import PARENT, granted, new_run
from deploy.oci import service
from deploy.oci.asking import asked
from deploy.oci.engine import Container, Engine
from deploy.oci.files import image_of_directories, mounts_of_this_machine
from deploy.oci.finding import Found, find_engine
from deploy.oci.groups import check_granted, group_of, sweep
from deploy.oci.owner import RUN, labels
from deploy.shield import to_its_end
from loadgen.host.scheduler import scheduler
from loadgen.model.errors import TargetError
from loadgen.model.limits import VmLimits
from loadgen.model.units import NS_PER_S

T = TypeVar("T")
P = ParamSpec("P")

_USER = "the environment oci"
_HOLDER = "the container engine"
_AT_ONCE = 4
_READY_S, _READY_PER_VM_S = 90.0, 1.0
_LOOK_S = 1.0
_CREDENTIALS = struct.Struct("3i")  # pid, user and group of a peer (unix(7))
_FOREVER_NS = 10**6 * NS_PER_S


class Oci:
    """A :class:`deploy.commands.api.Environment` of containers."""

    def check(self, limits: VmLimits) -> None:
        """Check that there is a container engine that can set these limits.  Raises PlanError."""
        find_engine(_USER, limits)

    @contextlib.asynccontextmanager
    async def places(self, count: int, limits: VmLimits) -> AsyncIterator[Places]:
        """Make containers that see the files of this machine, without a network but their own loopback device."""
        found = await _in_thread(find_engine, _USER, limits)
        async with AsyncExitStack() as ends:
            yield await _Containers(found, limits).start(names_of(count), ends)


class _Contained:
    """A container as a place."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.directory = directory
        self.process = 0
        """The first process of the container, by its number on this machine; known when it is ready."""
        self.ready: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()
        self._server: asyncio.Server | None = None
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def listen(self) -> None:
        """Wait for the first process of the container at a socket in the directory.  Raises PlanError."""
        path = self.directory / SOCKET
        service.check_socket_path(path)
        self.directory.mkdir()
        self._server = await asyncio.start_unix_server(self._connected, path, limit=MOST_LINE_BYTES)

    async def run(self, argv: Sequence[str], timeout_ns: int) -> Ran:
        """Run a command; see :meth:`deploy.commands.api.Place.run`."""
        assert self._streams is not None
        reader, writer = self._streams
        writer.write(Step(argv=tuple(argv), timeout_ns=timeout_ns).encode())
        answer = await _line(reader)
        if not answer:
            raise TargetError(f"{self.name} ended by itself", hint=self.last_words())
        return decode_ran(answer)

    def last_words(self) -> str:
        """The last message of the first process of the container, "" for none."""
        try:
            lines = (self.directory / LOG).read_text(errors="replace").split("\n")
        except OSError:  # it did not start
            lines = []
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def close(self) -> None:
        """Let the container end."""
        if self._server is not None:
            self._server.close()
        if self._streams is not None:
            self._streams[1].close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._streams is not None:  # a command in the container
            writer.close()
            return
        self._streams = reader, writer
        peer = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        self.process = _CREDENTIALS.unpack(peer)[0]
        writer.write(encode_environment(os.environ))
        line = await _line(reader)
        if line and not self.ready.done():
            self.ready.set_result(Ready.decode(line))


class _Containers:
    """The containers of one trial."""

    def __init__(self, found: Found, limits: VmLimits) -> None:
        self._found = found
        self._limits = limits
        self._labels = labels()
        self._cgroups = new_run() if not found.socket and os.geteuid() == 0 else ""

    async def start(self, names: Sequence[str], ends: AsyncExitStack) -> Places:
        """Start all containers; what ends them is registered on `ends`.  Raises PlanError or TargetError."""
        if self._cgroups:
            await _in_thread(sweep)
        opening = {_HOLDER: Open(hurried=True, cgroups=self._cgroups)}
        (holder,) = await ends.enter_async_context(supervised(opening))
        directory = Path(holder.directory)
        engine = await self._engine(holder, directory, len(names), ends)
        image = await asked("has taken the image", partial(engine.take_image, image_of_directories(WORK)))
        places = tuple(_Contained(name, directory / name) for name in names)
        for place in places:
            ends.callback(place.close)
            await place.listen()
        await _all(
            asked(f"has started {place.name}", partial(engine.start, self._container(place, image))) for place in places
        )
        groups = [group_of(one.name, ready.cgroups) for one, ready in await self._hear(engine, places)]
        for group in groups:
            check_granted(group, self._limits)
        details = {
            "engine": engine.version,
            "service": "of this machine" if self._found.socket else "of each trial",
            "limits": granted(groups[0]),
            "scheduler": scheduler(),
        }
        return Places(places, details, processes=[place.process for place in places])

    async def _engine(self, holder: Supervised, directory: Path, count: int, ends: AsyncExitStack) -> Engine:
        """A connection to the engine, after the service was started and leftovers were removed."""
        home = directory / "engine"
        engine = Engine(self._found.socket or str(home / service.SOCKET))
        ends.callback(engine.close)
        if not self._found.socket:
            _, *command = service.prepare_service(self._found.podman, home, count)
            serving = asyncio.create_task(holder.run(command, _FOREVER_NS))
            ends.push_async_callback(_cancelled, serving)
            await _before_end_of(serving, service.until_it_listens(home / service.SOCKET))
        await asked("answers", engine.connect)
        if self._found.socket:
            await asked("has removed what killed runs have left", engine.sweep)
            ends.push_async_callback(asked, "has removed the containers", partial(engine.remove_run, self._labels[RUN]))
        return engine

    def _container(self, place: _Contained, image: str) -> Container:
        python = {sys.prefix, sys.base_prefix, str(Path(deploy.__file__).parent.parent)}
        return Container(
            name=f"loadgen-{self._labels[RUN]}-{place.name}",
            vm=place.name,
            image=image,
            command=(sys.executable, "-P", "-m", "deploy.commands.contained", str(place.directory)),
            environment={"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            labels=self._labels,
            mounts={**mounts_of_this_machine(sorted(python)), str(place.directory): True},
            limits=self._limits,
            disk=self._found.disk,
            cgroup_parent=f"/{PARENT}/{self._cgroups}" if self._cgroups else "",
            network="none",
            kept=True,
        )

    async def _hear(self, engine: Engine, places: Sequence[_Contained]) -> Sequence[tuple[_Contained, Ready]]:
        """The first words of each container.  Raises TargetError when one ends before, or is silent."""
        try:
            async with asyncio.timeout(_READY_S + _READY_PER_VM_S * len(places)):
                while silent := [place for place in places if not place.ready.done()]:
                    await asyncio.wait([place.ready for place in silent], timeout=_LOOK_S)
                    alive = await asked("has listed its containers", partial(engine.running, self._labels[RUN]))
                    for place in silent:
                        if not place.ready.done() and place.name not in alive:
                            raise TargetError(f"{place.name} did not start", hint=place.last_words())
        except TimeoutError:
            limit_s = _READY_S + _READY_PER_VM_S * len(places)
            raise TargetError(f"{silent[0].name} did not start within {limit_s:g} s") from None
        return [(place, place.ready.result()) for place in places]


async def _line(reader: asyncio.StreamReader) -> bytes:
    """The next line; empty when the connection has ended."""
    try:
        line = await reader.readline()
    except ConnectionError:
        return b""
    return line if line.endswith(b"\n") else b""


async def _in_thread(function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Call a function that waits, to its end also when this task is cancelled."""
    return await to_its_end(asyncio.to_thread(function, *arguments, **named))


async def _all(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Await all of these works, a few at once; raises the first exception when all have ended."""
    turns = asyncio.Semaphore(_AT_ONCE)

    async def in_turn(work: Coroutine[Any, Any, None]) -> None:
        async with turns:
            await work

    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(in_turn(work))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None


async def _before_end_of(serving: asyncio.Task[Ran], work: Coroutine[Any, Any, None]) -> None:
    """Await work that needs a service.  Raises TargetError when the service ends before."""
    working = asyncio.create_task(work)
    try:
        await asyncio.wait((working, serving), return_when=asyncio.FIRST_COMPLETED)
        if serving.done() and not working.done():
            said = serving.result().output.strip().rpartition("\n")[2]
            raise TargetError("podman did not start as a service", hint=said or "it printed no message")
        await working
    finally:
        await _cancelled(working)


async def _cancelled(task: asyncio.Task[Any]) -> None:
    """Cancel a task, and wait for its end."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
