"""Compares the numbers compiled into the extension with Python's, when the extension is imported.

The extension reads and writes memory that numpy laid out, and uses Python's codes.  An extension that was built from
other sources than the Python files beside it would read wrong bytes without any error.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping

from loadgen.engine.body import ANCHOR_WITHIN_BYTES, OVERRUN_BYTES
from loadgen.engine.head import MAX_SHOWN_BYTES
from loadgen.engine.http1 import DONE, MAX_CHUNK_LINE_BYTES, MAX_HEAD_BYTES, MORE
from loadgen.engine.tcp_accounts import FIELDS, INFO_BYTES, LOOK_NS, LOOKS_AT_ONCE, QUICK_LOOKS, QUICK_NS, ROUND_NS
from loadgen.measure.record import (
    CONNECTED,
    MORE_CONNECTS_SHIFT,
    MOST_MORE_CONNECTS,
    RECORD_DTYPE,
    RESTED,
    RETRIED,
    STATUS_SHIFT,
    SURPLUS,
)
from loadgen.measure.shown import MAX_SHOWN
from loadgen.measure.tcp_view import COUNTERS
from loadgen.model.outcome import Outcome
from loadgen.schedule.optape import (
    CHECK_DTYPE,
    CLOSE_AFTER,
    EMBEDDED,
    FIRST_STATUS_SET,
    KEEP_ALIVE,
    NO_BODY,
    OP_DTYPE,
    OWN_HOST,
    STATUS_WORDS,
)
from loadgen.schedule.values import PIECE_DTYPE, PieceKind

NOBODY = 0xFFFFFFFF
"""Stands for "no source address" where the index of one is expected."""


class Ending(enum.IntEnum):
    """Why the playing thread returned."""

    COMPLETE = 0
    STOPPED = 1
    LEASE_EXPIRED = 2


def check(compiled: Mapping[str, int]) -> None:
    """Raise ImportError unless `compiled`, the numbers that layout.c exports, are all equal to Python's."""
    ours = dict(_facts())
    wrong = [
        f"{name} is {compiled.get(name, 'missing')} in C and {ours.get(name, 'missing')} in Python"
        for name in [*ours, *(name for name in compiled if name not in ours)]
        if compiled.get(name) != ours.get(name)
    ]
    if wrong:
        others = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise ImportError(f"it was built from another version of loadgen ({wrong[0]}{others}); install loadgen again")


def _facts() -> Iterator[tuple[str, int]]:
    """Names and values as layout.c has them."""
    dtypes = {
        "OP_DTYPE": OP_DTYPE,
        "CHECK_DTYPE": CHECK_DTYPE,
        "PIECE_DTYPE": PIECE_DTYPE,
        "RECORD_DTYPE": RECORD_DTYPE,
    }
    for name, dtype in dtypes.items():
        yield f"{name} bytes", dtype.itemsize
        for field, (of, offset, *_) in (dtype.fields or {}).items():
            yield f"{name}.{field} offset", offset
            yield f"{name}.{field} bytes", of.itemsize
    for member in (*Outcome, *Ending, *PieceKind):
        yield f"{type(member).__name__}.{member.name}", member.value
    yield "KEEP_ALIVE", KEEP_ALIVE
    yield "CLOSE_AFTER", CLOSE_AFTER
    yield "NO_BODY", NO_BODY
    yield "OWN_HOST", OWN_HOST
    yield "EMBEDDED", EMBEDDED
    yield "FIRST_STATUS_SET", FIRST_STATUS_SET
    yield "STATUS_WORDS", STATUS_WORDS
    yield "CONNECTED", CONNECTED
    yield "RETRIED", RETRIED
    yield "RESTED", RESTED
    yield "SURPLUS", SURPLUS
    yield "MORE_CONNECTS_SHIFT", MORE_CONNECTS_SHIFT
    yield "MOST_MORE_CONNECTS", MOST_MORE_CONNECTS
    yield "STATUS_SHIFT", STATUS_SHIFT
    yield "MAX_SHOWN", MAX_SHOWN
    yield "MORE", MORE
    yield "DONE", DONE
    yield "MAX_HEAD_BYTES", MAX_HEAD_BYTES
    yield "MAX_CHUNK_LINE_BYTES", MAX_CHUNK_LINE_BYTES
    yield "MAX_SHOWN_BYTES", MAX_SHOWN_BYTES
    yield "ANCHOR_WITHIN_BYTES", ANCHOR_WITHIN_BYTES
    yield "OVERRUN_BYTES", OVERRUN_BYTES
    yield "NOBODY", NOBODY
    yield "TCP_FIELDS", len(FIELDS)
    yield "TCP_COUNTERS", len(COUNTERS)
    yield "TCP_INFO_BYTES", INFO_BYTES
    yield "TCP_LOOK_NS", LOOK_NS
    yield "TCP_LOOKS_AT_ONCE", LOOKS_AT_ONCE
    yield "TCP_ROUND_NS", ROUND_NS
    yield "TCP_QUICK_NS", QUICK_NS
    yield "TCP_QUICK_LOOKS", QUICK_LOOKS
