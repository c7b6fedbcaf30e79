"""The messages between a driver and its warden: one JSON object per line; both ends have the same version.

The driver sends :class:`Launch` commands; the end of its stream means "stop everything".
The warden sends one :class:`Hello`, one :class:`Started` for every process, and one :class:`Exited` for every process
that ends by itself.
"""

from __future__ import annotations

import json
import signal
from dataclasses import asdict, dataclass

from deploy.box.box import Box

_SAID_LINES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class AppWorker:
    """The application process of a VM.

    It listens on `unix_socket` if that is set, else on the inherited descriptor `listening_fd` if that is not 0, else
    on `host` and `port`.
    """

    docroot: str
    workdir: str
    static: bool
    """Whether the application also serves the files; otherwise the web server in front of it does."""
    unix_socket: str = ""
    host: str = ""
    port: int = 0
    listening_fd: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """The command to start the processes of one VM: its application, if any, and a program, if any.

    The program is the web server in front of the application, or one that needs no such application.  The output of
    each goes to a log in `directory`, which exists.

    With a `box`, the processes run in it.  The first launch of a VM builds its box around the program, or around the
    application if there is no program; a later launch joins the box that the VM has.
    """

    vm: str
    directory: str
    app: AppWorker | None = None
    program: tuple[str, ...] = ()
    """The name of the program, then its argument list, which begins with the path of the program; or ()."""
    box: Box | None = None

    def encode(self) -> bytes:
        """The command as one line of JSON."""
        return _line(asdict(self))

    @classmethod
    def decode(cls, line: bytes) -> Launch:
        """The command in a line made by :meth:`encode`."""
        data = json.loads(line)
        return cls(
            vm=data["vm"],
            directory=data["directory"],
            app=AppWorker(**data["app"]) if data["app"] else None,
            program=tuple(data["program"]),
            box=Box.from_dict(data["box"]) if data["box"] else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """The warden is ready.  The run's files go into `directory`, which the warden removes at the end."""

    directory: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A process was started; `pid` is its number for the driver, also when it is in a PID namespace of its own."""

    vm: str
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Exited:
    """A process ended by itself.  `status` is minus the signal's number after a signal; `log` has its last lines."""

    vm: str
    process: str
    status: int
    log: tuple[str, ...]

    @property
    def reason(self) -> str:
        """The end of the process and its last messages, as one line.

        Repeated lines and the indented lines of a traceback are left out: the reason stands in one of the others.
        """
        said = [line for line in dict.fromkeys(self.log) if not line.startswith((" ", "Traceback"))]
        return f"{self.process} {_ending(self.status)}" + (f": {'; '.join(said[-_SAID_LINES:])}" if said else "")


def encode_event(event: Hello | Started | Exited) -> bytes:
    """The event as one line of JSON."""
    return _line(asdict(event))


def decode_event(line: bytes) -> Hello | Started | Exited:
    """The event in a line made by :func:`encode_event`."""
    data = json.loads(line)
    if "status" not in data:
        return Started(**data) if "pid" in data else Hello(**data)
    return Exited(vm=data["vm"], process=data["process"], status=data["status"], log=tuple(data["log"]))


def _line(data: object) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode() + b"\n"


def _ending(status: int) -> str:
    if status >= 0:
        return f"exited with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"
