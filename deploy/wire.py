"""What a driver and its warden say to each other: one JSON object a line, both ends of one version.

Down go :class:`Launch` commands, and the end of the stream, which means "stop everything".
Up come one :class:`Hello` and an :class:`Exited` for every process that ends by itself.
"""

from __future__ import annotations

import json
import signal
from dataclasses import asdict, dataclass

_SAID_LINES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class AppWorker:
    """The process of ours that serves a VM: on `unix_socket` if given, else on `host` and `port`."""

    docroot: str
    workdir: str
    static: bool
    """Whether it serves the file set, too; otherwise the web server in front of it does."""
    unix_socket: str = ""
    host: str = ""
    port: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Start one VM: the app, and the program in front of it, if any.  Logs go to `directory`, which exists."""

    vm: str
    directory: str
    app: AppWorker
    program: tuple[str, ...] = ()
    """Name of the program and its argument list, the name again first as `argv[0]` (a path)."""

    def encode(self) -> bytes:
        """As one line."""
        return _line(asdict(self))

    @classmethod
    def decode(cls, line: bytes) -> Launch:
        """The command in a line made by :meth:`encode`."""
        data = json.loads(line)
        return cls(
            vm=data["vm"],
            directory=data["directory"],
            app=AppWorker(**data["app"]),
            program=tuple(data["program"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """The warden is ready; the run's files go under `directory`, which it removes at the end."""

    directory: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exited:
    """A process ended by itself.  `status` is negative for a signal; `log` holds its last lines."""

    vm: str
    process: str
    status: int
    log: tuple[str, ...]

    @property
    def reason(self) -> str:
        """How it ended, and the last things it said, as one line.

        Servers say what is wrong first and that they give up last; a traceback's indented lines say nothing here.
        """
        said = [line for line in dict.fromkeys(self.log) if not line.startswith((" ", "Traceback"))]
        return f"{self.process} {_ending(self.status)}" + (f": {'; '.join(said[-_SAID_LINES:])}" if said else "")


def encode_event(event: Hello | Exited) -> bytes:
    """As one line."""
    return _line(asdict(event))


def decode_event(line: bytes) -> Hello | Exited:
    """The event in a line made by :func:`encode_event`."""
    data = json.loads(line)
    if "status" not in data:
        return Hello(**data)
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
