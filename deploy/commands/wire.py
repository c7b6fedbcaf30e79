"""The messages between a place and its supervisor: one JSON object per line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from deploy.box.box import Box
from deploy.commands.api import Ran


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """Make the place: a box, whose directories the supervisor chooses, or a directory of this machine.

    At its end, the processes of a place that is `hurried` are killed without being asked to end.  `cgroups` is the name
    of a run whose cgroups below those of loadgen are removed then, "" for none.
    """

    box: Box | None = None
    hurried: bool = False
    cgroups: str = ""

    def encode(self) -> bytes:
        """One line for :meth:`decode`."""
        return _line(asdict(self))

    @classmethod
    def decode(cls, line: bytes) -> Open:
        """The inverse of :meth:`encode`."""
        data = json.loads(line)
        return cls(**{**data, "box": Box.from_dict(data["box"]) if data["box"] else None})


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Run a command, and kill it after `timeout_ns`."""

    argv: tuple[str, ...]
    timeout_ns: int

    def encode(self) -> bytes:
        """One line for :meth:`decode`."""
        return _line(asdict(self))

    @classmethod
    def decode(cls, line: bytes) -> Step:
        """The inverse of :meth:`encode`."""
        data = json.loads(line)
        return cls(argv=tuple(data["argv"]), timeout_ns=data["timeout_ns"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The first words of a place: it is made, or cannot be because of a `problem`.

    `directory` is its work directory, where this machine can see it.  `cgroups` is the text of /proc/self/cgroup of
    the first process of a container.
    """

    problem: str = ""
    directory: str = ""
    cgroups: str = ""

    def encode(self) -> bytes:
        """One line for :meth:`decode`."""
        return _line(asdict(self))

    @classmethod
    def decode(cls, line: bytes) -> Ready:
        """The inverse of :meth:`encode`."""
        return cls(**json.loads(line))


def encode_ran(ran: Ran) -> bytes:
    """The answer to a :class:`Step`."""
    return _line(asdict(ran))


def decode_ran(line: bytes) -> Ran:
    """The inverse of :func:`encode_ran`."""
    return Ran(**json.loads(line))


def _line(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data).encode() + b"\n"
