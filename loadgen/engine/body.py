"""Checks the body of a reply piece by piece as it arrives, and stores almost nothing of it.

A :class:`BodySpec` is a decoded row of the tape's `checks`; a :class:`BodyCheck` is the running check of one reply.
The content begins after the anchor; see `loadgen.schedule.optape.CHECK_DTYPE`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from loadgen.model.outcome import Outcome
from loadgen.schedule.strings import Strings

ANCHOR_WITHIN_BYTES = 8_192
"""The anchor must lie within the first bytes of the body.  A page has a few hundred bytes before its content."""
OVERRUN_BYTES = 65_536
"""How far a body is read beyond its expected end before the reply is given up."""


@dataclass(frozen=True, slots=True)
class BodySpec:
    """The expected body of a reply.  `pattern` is the period, repeated over the whole content."""

    anchor: bytes
    content_bytes: int
    prefix: bytes
    pattern: bytes
    stride: int
    suffix: bytes
    literal_at: tuple[int, ...]

    @classmethod
    def decode(cls, check: np.void, strings: Strings) -> BodySpec:
        """The spec of `check`, a row of the tape's checks; `strings` are those of the tape."""
        prefix, period = strings[int(check["prefix"])], strings[int(check["period"])]
        content_bytes, stride = int(check["content_bytes"]), int(check["stride_bytes"])
        pattern = b""
        if period and stride:
            positions = max(0, -(-(content_bytes - len(prefix)) // stride))
            pattern = (period * (positions // len(period) + 1))[:positions]
        return cls(
            anchor=strings[int(check["anchor"])],
            content_bytes=content_bytes,
            prefix=prefix,
            pattern=pattern,
            stride=stride,
            suffix=strings[int(check["suffix"])],
            literal_at=tuple(int(at) for at in check["literal_at"] if at >= 0),
        )


class BodyCheck:
    """The running check of a body.  `begin` prepares it for the next one."""

    __slots__ = ("_at", "_fixed", "_right", "_spec", "_waiting")

    def __init__(self) -> None:
        self._spec: BodySpec | None = None
        self._fixed: list[tuple[int, bytes]] = []  # (offset in the content, the bytes expected there)
        self._at = 0  # offset of the next byte in the content; -1 before the anchor
        self._waiting = b""
        self._right = True

    def begin(self, spec: BodySpec, literal: bytes) -> None:
        """Prepare for a body that must match `spec`, with `literal` at its literal offsets."""
        self._spec = spec
        self._at = -1 if spec.anchor else 0
        self._waiting = b""
        self._right = True
        fixed = [(0, spec.prefix)] if spec.prefix else []
        if literal:
            fixed += [(at, literal) for at in spec.literal_at]
        if spec.suffix:
            fixed.append((spec.content_bytes, spec.suffix))
        self._fixed = fixed

    def look(self, data: bytes, start: int, end: int) -> bool:
        """Check one piece of the body.  False when it is far longer than expected, or its anchor is missing."""
        spec = self._spec
        assert spec is not None
        if spec.content_bytes < 0:
            return True
        if self._at < 0:
            piece = self._waiting + data[start:end]
            found = piece.find(spec.anchor, 0, ANCHOR_WITHIN_BYTES)
            if found < 0:
                self._waiting = piece[:ANCHOR_WITHIN_BYTES]
                return len(piece) < ANCHOR_WITHIN_BYTES
            data, start, end = piece, found + len(spec.anchor), len(piece)
            self._at = 0
        at = self._at  # offset of data[start]
        after = at + end - start
        self._at = after
        if self._right:
            self._right = self._matches(spec, data, start, at, after)
        return after <= spec.content_bytes + len(spec.suffix) + OVERRUN_BYTES

    def verdict(self) -> Outcome:
        """OK, BAD_LENGTH or BAD_CONTENT, after the end of the body."""
        spec = self._spec
        assert spec is not None
        if spec.content_bytes < 0:
            return Outcome.OK
        if self._at < 0:
            return Outcome.BAD_CONTENT
        if self._at != spec.content_bytes + len(spec.suffix):
            return Outcome.BAD_LENGTH
        return Outcome.OK if self._right else Outcome.BAD_CONTENT

    def _matches(self, spec: BodySpec, data: bytes, start: int, at: int, after: int) -> bool:
        """Whether `data[start:]`, which is content[at:after], has the expected bytes."""
        shift = start - at  # data index = content offset + shift
        for offset, text in self._fixed:
            low, high = max(offset, at), min(offset + len(text), after)
            if low < high and data[low + shift : high + shift] != text[low - offset : high - offset]:
                return False
        if spec.pattern:
            first = len(spec.prefix)
            begin = max(0, -(-(at - first) // spec.stride))
            stop = max(begin, min(len(spec.pattern), -(-(after - first) // spec.stride)))
            if begin < stop:
                low = first + begin * spec.stride + shift
                high = first + (stop - 1) * spec.stride + shift + 1
                return data[low : high : spec.stride] == spec.pattern[begin:stop]
        return True
