"""The driver's ends of the named pipes to the wardens in containers (:mod:`deploy.oci.guest`)."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from deploy.wire import Exited, Launch, decode_event
from loadgen.model.errors import TargetError

COMMANDS, EVENTS = "commands", "events"
"""The names of the pipes in the directory of a VM."""

CGROUPS = "cgroups"
"""A file with the text of /proc/self/cgroup of the first process of the container."""

LOG = "container.log"
"""The messages of the first process of the container."""

_CHUNK_BYTES = 65536
_LOOK_S = 1.0

Running = Callable[[], Awaitable[set[str]]]


class Pipes:
    """The pipes to all VMs of a deployment.

    >>> pipes = Pipes(self.died)
    >>> pipes.open("vm01", directory)  # before its container starts
    >>> pipes.send(launch)
    >>> await pipes.wait_until_heard(["vm01"], running, 60.0)
    """

    def __init__(self, died: Callable[[str, str], None]) -> None:
        """`died` is called with a VM and the reason, when a process of it or its container ends."""
        self._died = died
        self._commands: dict[str, int] = {}
        self._events: dict[str, int] = {}
        self._unread: dict[str, bytes] = {}
        self._directories: dict[str, Path] = {}
        self._heard: set[str] = set()
        self._changed = asyncio.Event()

    def open(self, name: str, directory: Path) -> None:
        """Make the pipes of a VM in its directory, which exists.  Raises OSError."""
        for pipe in (COMMANDS, EVENTS):
            os.mkfifo(directory / pipe)
        self._directories[name] = directory
        self._unread[name] = b""
        # Open for reading, too: a pipe that nobody reads cannot be opened for writing only without waiting.
        self._commands[name] = os.open(directory / COMMANDS, os.O_RDWR | os.O_NONBLOCK)
        self._events[name] = os.open(directory / EVENTS, os.O_RDONLY | os.O_NONBLOCK)
        asyncio.get_running_loop().add_reader(self._events[name], self._read, name)

    def send(self, launch: Launch) -> None:
        """Send a command to the warden of its VM; the pipe keeps it until the container runs."""
        os.write(self._commands[launch.vm], launch.encode())

    async def wait_until_heard(self, names: Sequence[str], running: Running, timeout_s: float) -> None:
        """Wait until the wardens of these VMs run; `running` returns the VMs whose containers have not ended.

        Raises TargetError after the time, and soon after a container ended before its warden was heard.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while missing := self._missing(names):
                    alive = await running()
                    if ended := [name for name in self._missing(missing) if name not in alive]:
                        why = _last_line(self._directories[ended[0]] / LOG)
                        raise TargetError(f"{ended[0]} did not start: its container ended: {why}")
                    self._changed.clear()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._changed.wait(), _LOOK_S)
        except TimeoutError:
            silent = self._missing(names)[0]
            raise TargetError(f"{silent} did not start: it was silent for {timeout_s:g} s") from None

    def _missing(self, names: Sequence[str]) -> list[str]:
        return [name for name in names if name not in self._heard]

    def close(self) -> None:
        """Close all pipes: the wardens end, and with them their containers.  Further calls do nothing."""
        for name in list(self._events):
            self._stop_reading(name)
        while self._commands:
            os.close(self._commands.popitem()[1])

    def _read(self, name: str) -> None:
        chunk = os.read(self._events[name], _CHUNK_BYTES)
        if not chunk:
            self._stop_reading(name)
            self._died(name, f"its container ended: {_last_line(self._directories[name] / LOG)}")
        else:
            self._heard.add(name)  # its first words are those of a warden that is ready
            *lines, self._unread[name] = (self._unread[name] + chunk).split(b"\n")
            for line in lines:
                event = decode_event(line)
                if isinstance(event, Exited):
                    self._died(name, event.reason)
        self._changed.set()

    def _stop_reading(self, name: str) -> None:
        events_fd = self._events.pop(name)
        asyncio.get_running_loop().remove_reader(events_fd)
        os.close(events_fd)


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").split("\n")
    except OSError:  # its first process did not start
        lines = []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it printed no message")
