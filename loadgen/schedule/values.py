"""Requests whose text differs each time, compiled to data: templates of pieces, and the values of a data file.

A template is a list of pieces.  An engine writes the pieces one after another, and so makes the whole request, with its
Host line and its Content-Length.  All values of a request follow from its number, so that a request can be written
again (after part of it was sent, or on a new connection), and a run can be repeated.  Only times differ between runs.

Engine number `part` of `parts` gives its requests that have values the numbers part, part + parts, part + 2 parts, …,
in the order in which they begin.  So no number appears twice in a run, on whatever machine.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadgen.schedule.strings import Strings


class PieceKind(enum.IntEnum):
    """What a piece writes."""

    TEXT = 0  # string `text`
    HOST = 1  # the target's Host line
    NUMBER = 2  # the number of the request
    UUID = 3  # a UUID of version 4
    RANDOM = 4  # a whole number from `low` to `low + span - 1`
    SECONDS = 5  # the time when the request began, since 1970
    MILLISECONDS = 6
    NANOSECONDS = 7
    CONNECTION = 8  # the number of the connection
    COLUMN = 9  # string `text + row`, for the row of the data file that is due
    LENGTH = 10  # the length of the body, which has at most `digits` digits
    BODY = 11  # nothing: the body begins here


PIECE_DTYPE = np.dtype(
    [
        ("low", "<i8"),
        ("span", "<u8"),
        ("text", "<u4"),
        ("kind", "u1"),  # a PieceKind
        ("digits", "u1"),
    ]
)
"""One piece of a template; `text` is an index into the `strings` of :class:`Values`."""

LONGEST = {
    PieceKind.NUMBER: 20,
    PieceKind.UUID: 36,
    PieceKind.RANDOM: 20,
    PieceKind.SECONDS: 20,
    PieceKind.MILLISECONDS: 20,
    PieceKind.NANOSECONDS: 20,
    PieceKind.CONNECTION: 10,
}
"""The most bytes that pieces of a kind write.  Those of the other kinds depend on the piece."""

_MASK = (1 << 64) - 1
_STEP, _DRAW = 0x9E3779B97F4A7C15, 0xD1342543DE82EF95  # odd numbers, so that different inputs stay different


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """The templates of a tape, and the values that they need.

    Template t consists of `pieces[templates[t]:templates[t + 1]]` (PIECE_DTYPE); template 0 has none, and stands for a
    request without values.  `rows` is the number of rows of the data file; 0 without one.  Request number n takes row
    (n + turn * (n // rows)) mod rows: each row once before any row again.  `turn` is 1 when several requests take
    turns, because otherwise a request could get the same part of the rows in each round.
    """

    pieces: NDArray[np.void]
    templates: NDArray[np.uint32]
    strings: Strings
    rows: int
    turn: int
    seed: int

    def to_wire(self) -> dict[str, Any]:
        """The values as plain data for msgpack."""
        return {
            "pieces": self.pieces.tobytes(),
            "templates": self.templates.tobytes(),
            "strings": self.strings.data,
            "offsets": self.strings.offsets.tobytes(),
            "rows": self.rows,
            "turn": self.turn,
            "seed": self.seed,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Values:
        """The inverse of :meth:`to_wire`; :meth:`check` checks what is in it."""
        return cls(
            pieces=np.frombuffer(wire["pieces"], dtype=PIECE_DTYPE),
            templates=np.frombuffer(wire["templates"], dtype=np.uint32),
            strings=Strings(wire["strings"], np.frombuffer(wire["offsets"], dtype=np.int64)),
            rows=wire["rows"],
            turn=wire["turn"],
            seed=wire["seed"],
        )

    def row_of(self, number: int) -> int:
        """The row of the data file that request `number` takes; there must be rows."""
        return (number + self.turn * (number // self.rows)) % self.rows

    def check(self) -> None:
        """Raise ValueError when an index is out of range of its table, because C would read beyond the table."""
        offsets, pieces, count = self.strings.offsets, self.pieces, len(self.strings)
        if offsets[0] < 0 or np.any(np.diff(offsets) < 0) or offsets[-1] > len(self.strings.data):
            raise ValueError("the offsets of the values' strings are out of range of their text")
        ends = self.templates.astype(np.int64)
        if len(ends) < 2 or ends[0] or ends[-1] > len(pieces) or np.any(np.diff(ends) < 0):
            raise ValueError("a template is out of range of its pieces")
        reach = np.where(pieces["kind"] == PieceKind.COLUMN, self.rows, 1) + pieces["text"].astype(np.int64)
        needs_text = np.isin(pieces["kind"], (PieceKind.TEXT, PieceKind.COLUMN))
        rowless = not self.rows and bool(np.any(pieces["kind"] == PieceKind.COLUMN))
        if np.any(reach[needs_text] > count) or rowless or np.any(pieces["kind"] > max(PieceKind)):
            raise ValueError("a piece of a template is out of range of its table")

    def longest(self, host_bytes: int) -> int:
        """The most bytes that a request of any template can have; `host_bytes` is the length of the Host line."""
        lengths = np.diff(self.strings.offsets)

        def bytes_of(piece: np.void) -> int:
            kind, text = PieceKind(int(piece["kind"])), int(piece["text"])
            if kind is PieceKind.COLUMN:
                return int(lengths[text : text + self.rows].max(initial=0))
            if kind is PieceKind.TEXT:
                return int(lengths[text])
            fixed = {PieceKind.HOST: host_bytes, PieceKind.LENGTH: int(piece["digits"]), PieceKind.BODY: 0, **LONGEST}
            return fixed[kind]

        each = [0, *(bytes_of(piece) for piece in self.pieces)]
        ends = np.cumsum(each)[self.templates]
        return int(np.diff(ends).max())


def mix(value: int) -> int:
    """A bijection of 64-bit numbers whose results look random (the finalizer of SplitMix64; Steele et al., 2014)."""
    value &= _MASK
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & _MASK
    return value ^ (value >> 31)


def draw(seed: int, number: int, at: int) -> int:
    """The random 64-bit number with index `at` of request `number`; compiled/values.c computes the same."""
    return mix(mix(seed + number * _STEP) + at * _DRAW)
