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
    """Make the place: a box, whose directories the supervisor chooses, or a directory of this machine."""

    box: Box | None = None

    def encode(self) -> bytes:
        """One line for :meth:`decode`."""
        return _line({"box": asdict(self.box) if self.box else None})

    @classmethod
    def decode(cls, line: bytes) -> Open:
        """The inverse of :meth:`encode`."""
        box = json.loads(line)["box"]
        return cls(box=Box.from_dict(box) if box else None)


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


def encode_ran(ran: Ran) -> bytes:
    """The answer to a :class:`Step`."""
    return _line(asdict(ran))


def decode_ran(line: bytes) -> Ran:
    """The inverse of :func:`encode_ran`."""
    return Ran(**json.loads(line))


def encode_ready(problem: str = "") -> bytes:
    """The answer to :class:`Open`: the place is made, or why it cannot be."""
    return _line({"problem": problem})


def decode_ready(line: bytes) -> str:
    """The problem in an answer to :class:`Open`; empty when the place is made."""
    problem: str = json.loads(line)["problem"]
    return problem


def _line(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data).encode() + b"\n"
