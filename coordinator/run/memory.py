"""The garbage collector and the allocator, kept out of the way while a run goes on."""

from __future__ import annotations

import ctypes
import gc

_YOUNG = 10_000
"""So many new objects before it looks at them, for 20 ms.  With hundreds of machines, 700 come in milliseconds."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc
_KEPT_BYTES = 256 << 20
_LARGEST_BYTES = 32 << 20
"""The most that glibc allows."""


def settle_memory() -> None:
    """What is there now stays: no collection looks at it again, which would hold up the run for 30 ms each time.

    And what is freed is kept for the next second: adding up what hundreds of engines report takes the same megabytes
    each time, and taking them from the kernel anew, 4 KB a page fault, is half of what it costs.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 20)
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):  # glibc has it, musl does not
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_BYTES)
