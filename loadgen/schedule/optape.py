"""A workload compiled to data: everything an engine needs to play and check it, as numpy arrays.

An engine knows no workload.  It plays rows of `ops`, one row an operation, and checks each reply
against what the row expects.  Each row names the one after it, so a tape is one ring or several: connection *c*
starts at its own row and plays on, and the size of a tape does not grow with the number of connections.

Text lives in one :class:`Strings` table and is referred to by index; index 0 is the empty string and
means "none".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

KEEP_ALIVE = 1  # the request is one of a persistent connection
CLOSE_AFTER = 2  # it is the last request on its TCP connection

OP_DTYPE = np.dtype(
    [
        ("line", "<u4"),  # request line with its CRLF; the engine puts the target's Host line after it
        ("rest", "<u4"),  # all after the Host line: headers, empty line, body
        ("check", "<u4"),  # row of `checks`
        ("cookie", "<u4"),  # the Set-Cookie value that the reply must carry; 0: not looked at
        ("literal", "<u4"),  # the text that must stand at the check's `literal_at` offsets; 0: not looked at
        ("next", "<u4"),  # the row that a connection plays after this one
        ("target", "<u4"),  # where an open loop sends it: index of a target; in a closed loop each has its own
        ("status", "<u2"),  # the expected status code; 0: any of 200 to 399
        ("kind", "u1"),  # what the mix is judged by (SPECweb99: file class)
        ("group", "u1"),  # what operation it is (SPECweb99: static, standard GET, CAD, POST, CGI)
        ("flags", "u1"),  # KEEP_ALIVE | CLOSE_AFTER
    ]
)
"""One operation."""

CHECK_DTYPE = np.dtype(
    [
        (
            "anchor",
            "<u4",
        ),  # the content starts behind its first occurrence in the body; 0: at the body's start
        (
            "content_bytes",
            "<i8",
        ),  # length of the content; with `suffix` behind it the body ends; -1: any, unchecked
        ("prefix", "<u4"),  # what the content starts with
        ("period", "<u4"),  # content[len(prefix) + j * stride] is period[j mod len(period)], for all j >= 0
        ("stride_bytes", "<u4"),
        ("suffix", "<u4"),  # what must follow the content, up to the end of the body
        ("literal_at", "<i8", (2,)),  # offsets in the content where the op's `literal` must stand; -1: none
    ]
)
"""What a correct body looks like."""

START_DTYPE = np.dtype(
    [
        ("row", "<u4"),  # the first row that the connection plays
        ("delay_ns", "<i8"),  # how long after the connection's start that operation is due
    ]
)
"""Where a connection starts."""


@dataclass(frozen=True, slots=True)
class Strings:
    """A table of byte strings: string *i* is `data[offsets[i]:offsets[i + 1]]`."""

    data: bytes
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, strings: Iterable[bytes]) -> Strings:
        """The table of `strings`, in order."""
        parts = list(strings)
        offsets = np.zeros(len(parts) + 1, dtype=np.int64)
        np.cumsum([len(p) for p in parts], out=offsets[1:])
        return cls(b"".join(parts), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> bytes:
        return self.data[self.offsets[index] : self.offsets[index + 1]]


class StringsBuilder:
    """Collects strings for a :class:`Strings` table; equal strings share an index, and 0 is the empty one."""

    def __init__(self) -> None:
        self._index: dict[bytes, int] = {b"": 0}

    def add(self, text: bytes) -> int:
        """The index of `text`."""
        return self._index.setdefault(text, len(self._index))

    def build(self) -> Strings:
        """The table of all that was added."""
        return Strings.of(self._index)


@dataclass(frozen=True, slots=True)
class OpTape:
    """A compiled workload.

    `starts` has the shape (segments, connections): where each connection, by its global number,
    starts in each segment of the run.  `kinds` and `groups` name the values of those columns;
    `kind_shares` are the shares that the workload intends, by kind.
    """

    ops: NDArray[np.void]
    checks: NDArray[np.void]
    strings: Strings
    starts: NDArray[np.void]
    kinds: tuple[str, ...]
    groups: tuple[str, ...]
    kind_shares: tuple[float, ...]

    def to_wire(self) -> dict[str, Any]:
        """Plain data for msgpack: bytes, strings and numbers."""
        return {
            "ops": self.ops.tobytes(),
            "checks": self.checks.tobytes(),
            "strings": self.strings.data,
            "offsets": self.strings.offsets.tobytes(),
            "starts": self.starts.tobytes(),
            "segments": self.starts.shape[0],
            "kinds": list(self.kinds),
            "groups": list(self.groups),
            "kind_shares": list(self.kind_shares),
        }

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> OpTape:
        """The inverse of :meth:`to_wire`."""
        return cls(
            ops=np.frombuffer(wire["ops"], dtype=OP_DTYPE),
            checks=np.frombuffer(wire["checks"], dtype=CHECK_DTYPE),
            strings=Strings(wire["strings"], np.frombuffer(wire["offsets"], dtype=np.int64)),
            starts=np.frombuffer(wire["starts"], dtype=START_DTYPE).reshape(wire["segments"], -1),
            kinds=tuple(wire["kinds"]),
            groups=tuple(wire["groups"]),
            kind_shares=tuple(wire["kind_shares"]),
        )
