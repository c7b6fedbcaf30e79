"""A workload compiled to data: everything that an engine needs to play and check it, as numpy arrays.

Engines know no workload.  They play rows of `ops`, one row per operation, and check each reply against what the row
expects.  Each row names the next row, so a tape consists of one or more rings.  Each connection starts at its own row,
so the size of a tape does not grow with the number of connections.

Text is stored in one :class:`Strings` table and referred to by index; index 0 is the empty string and means "none".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadgen.model.bound import Bound
from loadgen.schedule.strings import Strings
from loadgen.schedule.values import Values

KEEP_ALIVE = 1  # the request uses a persistent connection
CLOSE_AFTER = 2  # the request is the last one on its TCP connection
NO_BODY = 4  # the reply has no body, whatever its head says (HEAD)
OWN_HOST = 8  # `line` has a Host line of its own
EMBEDDED = 16  # an object of the page that the rows before it belong to; never `next`, and never a start

FIRST_STATUS_SET = 1_000
"""From this number on, a row's `status` is the number of a set: set k is number FIRST_STATUS_SET + k."""
STATUS_WORDS = 10
"""The words of 64 bits that a set of statuses has: bit s mod 64 of word s / 64 is status s."""

OP_DTYPE = np.dtype(
    [
        ("line", "<u4"),  # request line with its CRLF; the engine puts the target's Host line after it
        ("rest", "<u4"),  # everything after the Host line: headers, empty line, body
        ("check", "<u4"),  # index into `checks`
        ("cookie", "<u4"),  # the Set-Cookie value that the reply must carry; 0: not checked
        ("literal", "<u4"),  # the text that must be at the check's `literal_at` offsets; 0: not checked
        ("next", "<u4"),  # the row that a connection plays after this one
        ("target", "<u4"),  # target index in an open loop; in a closed loop each connection has its own target
        ("status", "<u2"),  # the expected status code; 0: any of 200 to 399; from FIRST_STATUS_SET on: a set
        ("kind", "u1"),  # the category of the mix (SPECweb99: file class)
        ("group", "u1"),  # the type of operation (SPECweb99: static, standard GET, CAD, POST, CGI)
        ("flags", "u1"),  # KEEP_ALIVE | CLOSE_AFTER | NO_BODY | OWN_HOST | EMBEDDED
        ("template", "<u4"),  # index into the templates of `values`; 0: the request is `line`, Host line, `rest`
        ("think_ms", "<u4"),  # paced loop: after a good reply, the next operation is due so much later
    ]
)
"""One operation; text fields are indexes into the tape's `strings`."""

CHECK_DTYPE = np.dtype(
    [
        (
            "anchor",
            "<u4",
        ),  # the content starts after its first occurrence in the body; 0: at the start of the body
        (
            "content_bytes",
            "<i8",
        ),  # length of the content, which `suffix` and the end of the body follow; -1: not checked
        ("prefix", "<u4"),  # the beginning of the content
        ("period", "<u4"),  # content[len(prefix) + j * stride] is period[j mod len(period)], for all j >= 0
        ("stride_bytes", "<u4"),
        ("suffix", "<u4"),  # the text between the content and the end of the body
        ("literal_at", "<i8", (2,)),  # offsets in the content where the op's `literal` must be; -1: none
    ]
)
"""The expected body of a reply; text fields are indexes into the tape's `strings`."""

START_DTYPE = np.dtype(
    [
        ("row", "<u4"),  # the first row that the connection plays
        ("delay_ns", "<i8"),  # when that operation is due, after the start of the connection
    ]
)
"""Where a connection starts in a segment."""


def status_sets(sets: Iterable[Iterable[int]]) -> NDArray[np.uint64]:
    """The column `status_sets` of a tape for these sets of statuses, each below 64 * STATUS_WORDS."""
    bits = [np.isin(np.arange(64 * STATUS_WORDS), list(one)) for one in sets]
    packed = np.packbits(np.array(bits, bool).reshape(-1, 64 * STATUS_WORDS), axis=1, bitorder="little")
    return packed.view(np.uint64)


def statuses_of(sets: NDArray[np.uint64]) -> list[frozenset[int]]:
    """The inverse of :func:`status_sets`."""
    bits = np.unpackbits(np.ascontiguousarray(sets).view(np.uint8), axis=1, bitorder="little")
    return [frozenset(np.flatnonzero(one).tolist()) for one in bits]


class StringsBuilder:
    """Collects strings for a :class:`Strings` table.  Equal strings share an index; index 0 is the empty string."""

    def __init__(self) -> None:
        self._index: dict[bytes, int] = {b"": 0}

    def add(self, text: bytes) -> int:
        """The index of `text` in the table; adds `text` if it is new."""
        return self._index.setdefault(text, len(self._index))

    def build(self) -> Strings:
        """The table of all strings added so far."""
        return Strings.of(self._index)


@dataclass(frozen=True, slots=True)
class OpTape:
    """A compiled workload.

    `ops` (OP_DTYPE), `checks` (CHECK_DTYPE) and `strings` refer to each other by index.  `starts` (START_DTYPE) has the
    shape (segments, connections): where each connection, by global number, starts in each segment of the run.  `kinds`
    and `groups` name the values of these columns.  `kind_shares`: the intended share of each kind, 0..1.  `values`: the
    templates of requests that differ each time; None without such requests.
    `status_sets` (uint64, shape (sets, STATUS_WORDS)): the sets of statuses that rows expect.  `own_bounds`: by kind,
    the bound that judges its operations; None, and () for all kinds, for the bound of the load.  `lanes`: over how many
    TCP connections at once a user loads a page with its embedded objects (loadgen.engine.pages); 0 where each row is an
    operation of its own.  The lanes have equal parts of the user's line.
    """

    ops: NDArray[np.void]
    checks: NDArray[np.void]
    strings: Strings
    starts: NDArray[np.void]
    kinds: tuple[str, ...]
    groups: tuple[str, ...]
    kind_shares: tuple[float, ...]
    values: Values | None = None
    status_sets: NDArray[np.uint64] = field(default_factory=lambda: status_sets([]))
    own_bounds: tuple[Bound | None, ...] = ()
    lanes: int = 0

    def to_wire(self) -> dict[str, Any]:
        """The tape as plain data for msgpack: bytes, strings and numbers."""
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
            "values": None if self.values is None else self.values.to_wire(),
            "status_sets": self.status_sets.tobytes(),
            "own_bounds": [None if bound is None else bound.to_wire() for bound in self.own_bounds],
            "lanes": self.lanes,
        }

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> OpTape:
        """The inverse of :meth:`to_wire`; the values are not checked."""
        return cls(
            ops=np.frombuffer(wire["ops"], dtype=OP_DTYPE),
            checks=np.frombuffer(wire["checks"], dtype=CHECK_DTYPE),
            strings=Strings(wire["strings"], np.frombuffer(wire["offsets"], dtype=np.int64)),
            starts=np.frombuffer(wire["starts"], dtype=START_DTYPE).reshape(wire["segments"], -1),
            kinds=tuple(wire["kinds"]),
            groups=tuple(wire["groups"]),
            kind_shares=tuple(wire["kind_shares"]),
            values=None if wire["values"] is None else Values.from_wire(wire["values"]),
            status_sets=np.frombuffer(wire["status_sets"], dtype=np.uint64).reshape(-1, STATUS_WORDS),
            own_bounds=tuple(None if bound is None else Bound.from_wire(bound) for bound in wire["own_bounds"]),
            lanes=wire["lanes"],
        )
