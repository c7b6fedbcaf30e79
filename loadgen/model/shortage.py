"""Tells a shortage of memory from a bug: it shows itself as errors of many kinds."""

from __future__ import annotations

import errno

_WORDS = (
    "failed to map segment from shared object",  # of the dynamic linker, in an ImportError
    "cannot allocate memory",
    "can't start new thread",  # of CPython; its stack needs memory
    "memory allocation failed",
)


def is_short_of_memory(error: BaseException) -> bool:
    """Whether an error, or one of its causes, says that the process got no memory."""
    seen: set[int] = set()
    open_ends: list[BaseException | None] = [error]
    while open_ends:
        one = open_ends.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, MemoryError) or (isinstance(one, OSError) and one.errno == errno.ENOMEM):
            return True
        if isinstance(one, ImportError | OSError | RuntimeError) and any(word in str(one).lower() for word in _WORDS):
            return True
        open_ends += [one.__cause__, one.__context__, *(one.exceptions if isinstance(one, BaseExceptionGroup) else ())]
    return False
