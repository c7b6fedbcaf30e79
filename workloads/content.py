"""Contents of files and pages whose replies can be checked without storing them.

A content begins with the header line `"%9d NAME\\n"`: its size and its name.  Random printable characters follow,
with a newline as every 64th byte.  After the header, at every multiple of a stride, there is a *validation byte*: the
next character of the name, which is repeated.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LINE_BYTES = 64
_PRINTABLE = (33, 124)


def header_line(size_bytes: int, name: str) -> bytes:
    """The first line of a content of this size, with the newline."""
    return b"%9d %s\n" % (size_bytes, name.encode())


def marked(name: str, size_bytes: int, stride_bytes: int, key: tuple[int, int]) -> NDArray[np.uint8]:
    """The content after its header line, `size_bytes` long; `key` is the seed of its characters."""
    body = _printable(key, size_bytes)
    body[LINE_BYTES - 1 :: LINE_BYTES] = ord("\n")
    marks = body[::stride_bytes]
    marks[:] = np.resize(np.frombuffer(name.encode(), dtype=np.uint8), len(marks))
    return body


def whole(name: str, size_bytes: int, stride_bytes: int, key: tuple[int, int]) -> bytes:
    """A content of this size, header line included."""
    header = header_line(size_bytes, name)
    return header + marked(name, size_bytes - len(header), stride_bytes, key).tobytes()


def _printable(key: tuple[int, int], size: int) -> NDArray[np.uint8]:
    # numpy guarantees only the streams of its bit generators to stay the same in all versions
    raw = np.random.PCG64(key).random_raw(-(-size // 8)).astype("<u8", copy=False)
    wide = raw.view(np.uint8)[:size].astype(np.uint16)
    low, high = _PRINTABLE
    wide *= high - low + 1
    wide >>= 8
    wide += low
    return wide.astype(np.uint8)
