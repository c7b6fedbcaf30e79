"""Settings of the garbage collector and the allocator that keep both from delaying a run."""

from __future__ import annotations

import ctypes
import gc

_YOUNG = 10_000
"""New objects before a collection, which takes 20 ms. The default is 700, which hundreds of machines create in
milliseconds.
"""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc
_KEPT_BYTES = 256 << 20
_LARGEST_BYTES = 32 << 20
"""The largest value that glibc allows, in bytes."""


def settle_memory() -> None:
    """Exclude all present objects from garbage collection, and keep freed memory for reuse.

    Each collection of the present objects would delay the run by 30 ms.  Adding up the reports of hundreds of engines
    needs the same megabytes each second; to get them from the kernel again, 4 KB per page fault, takes half of that
    time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 20)
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):  # glibc has mallopt, musl does not
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_BYTES)
