"""Where the time of a connection goes: parts that add up to the whole window, exact in nanoseconds.

A connection is a slot that plays one operation at a time.  Each operation of a closed or paced loop has a span of time:

    due ......... sent ............... done ................. end
        lateness        service              pacing

`end` is the later of `done` and the time at which the line speed allows its bytes (due + bytes / line speed); the think
time after an operation that ended well is added to it.  The next operation is due at `end`.  An operation after which
the connection rests has no pacing: the next one is due at `done + rest`.  Each part counts as far as it lies in the
window.

* lateness: due to sent, in operations of any outcome.  The load generator's own.
* service: sent to done of operations that ended well, with the connect where one was needed.
* failed: sent to done of operations that failed, such as time-outs.
* unfinished: sent to done of operations that were cut because the segment ended.
* pacing: done to end of operations that ended well or were cut; and, before a connection's first operation in a paced
  loop, the rest of the line time inside of which it starts (loadgen.engine.accounts).
* rest: the rest after a failed operation.

What remains of the window is not stored, because it is a difference.  In a closed or paced loop it is *absent*: the
connection had no operation, because it never opened, its engine was gone, or an operation was due and was not begun
before the segment ended.  It is negative only if parts overlap, which is a bug.  In an open loop the remainder is
*idle*: a free connection waits for work, and no one can say whether it was there.  An operation of an open loop belongs
to a connection only from `sent` on, so there is no lateness and no pacing.

An operation whose TCP connection did not come about was never sent; its connect began at -sent_ns of its record.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

PARTS = ("service_ns", "pacing_ns", "lateness_ns", "rest_ns", "failed_ns", "unfinished_ns")
"""The columns of TALLY_DTYPE that hold the parts."""

_WIDTHS = (0, 1, 2, 4, 8)
_UNSIGNED = {1: "|u1", 2: "<u2", 4: "<u4", 8: "<u8"}
_MAX = (1 << 53) - 1  # loadgen.measure.wire.MAX_NUMBER
_PACING = PARTS.index("pacing_ns")
_PLAIN = 0x80  # in the width of the column of pacing: packed as it is


def total_ns(rows: NDArray[np.void]) -> NDArray[np.int64]:
    """The sum of all parts of each row (TALLY_DTYPE), int64."""
    found: NDArray[np.int64] = np.sum([rows[name] for name in PARTS], axis=0, dtype=np.int64)
    return found


def are_known(rows: NDArray[np.void], *, open_loop: bool = False) -> bool:
    """Whether `rows` (TALLY_DTYPE) have their parts: records of versions before 0.2 do not.

    The time in operations is the sum of four parts, except for the lateness of failed operations, so it is never more;
    and a failed operation takes time, or a rest follows it.  In an open loop it may be more by the time in which the
    operations waited for a connection.
    """
    if not len(rows):
        return True
    parts = total_ns(rows)
    whole = open_loop or bool((parts >= rows["busy_ns"]).all())
    return whole and bool(parts.any() or not (rows["busy_ns"].any() or rows["bad"].any()))


def pack_parts(rows: NDArray[np.void]) -> bytes:
    """The parts as bytes: the width of each column (0 if all its numbers are 0), then the columns, little endian.

    Pacing is packed as that by which the parts of the time in operations exceed that time: 0 if no failed operation was
    late.  Returns b"" for rows without parts.
    """
    columns = [rows[name] for name in PARTS]
    if not any(column.any() for column in columns):
        return b""
    beyond = _beyond_busy(rows, rows["pacing_ns"])
    plain = int(beyond.min(initial=0)) < 0  # never, if the rows have their parts
    if not plain:
        columns[_PACING] = beyond
    widths = [_width(int(column.max(initial=0))) for column in columns]
    packed = [column.astype(_UNSIGNED[width]) for column, width in zip(columns, widths, strict=True) if width]
    widths[_PACING] |= _PLAIN * plain
    return b"".join([bytes(widths), *(column.tobytes() for column in packed)])


def unpack_parts(rows: NDArray[np.void], packed: Sequence[bytes], sizes: Sequence[int]) -> None:
    """Write the parts of several byte strings into `rows`, which are those of string i for `sizes[i]` rows each.

    An empty string leaves the parts 0: it comes from an earlier version.  Raises ValueError if one is malformed.
    """
    at = 0
    for data, size in zip(packed, sizes, strict=True):
        if data:
            _unpack(rows[at : at + size], data)
        at += size


def _unpack(rows: NDArray[np.void], data: bytes) -> None:
    widths, size = list(data[: len(PARTS)]), len(rows)
    plain = len(widths) > _PACING and bool(widths[_PACING] & _PLAIN)
    if plain:
        widths[_PACING] -= _PLAIN
    if (
        len(widths) < len(PARTS)
        or any(width not in _WIDTHS for width in widths)
        or len(data) != len(PARTS) + sum(widths) * size
    ):
        raise ValueError(f"{len(data)} bytes of times do not fit {size} tallies")
    offset = len(PARTS)
    for name, width in zip(PARTS, widths, strict=True):
        if width:
            column = np.frombuffer(data, _UNSIGNED[width], size, offset)
            if width > 4 and int(column.max(initial=0)) > _MAX:
                raise ValueError(f"a number in the {name} of tallies is above {_MAX}")
            rows[name] = column
            offset += width * size
    if not plain:
        rows["pacing_ns"] -= _beyond_busy(rows, 0)
    if rows["pacing_ns"].min(initial=0) < 0:
        raise ValueError("the parts of a tally's time in operations exceed it")


def _beyond_busy(rows: NDArray[np.void], pacing_ns: NDArray[np.int64] | int) -> NDArray[np.int64]:
    found: NDArray[np.int64] = (
        rows["service_ns"] + rows["unfinished_ns"] + rows["lateness_ns"] + pacing_ns - rows["busy_ns"]
    )
    return found


def _width(largest: int) -> int:
    return next(width for width in _WIDTHS if largest < 1 << 8 * width)
