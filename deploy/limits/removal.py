"""Removes cgroups."""

from __future__ import annotations

import contextlib
import errno
import time
from collections.abc import Iterable
from pathlib import Path

_AGAIN_S = 0.01
_AT_MOST_S = 2.0


def remove_groups(groups: Iterable[str]) -> list[str]:
    """Remove cgroups without processes, and the directories around them that become empty; returns those that stay.

    The kernel needs a moment after the end of the last process, so this tries again for up to two seconds.
    """
    paths = [Path(group) for group in groups]
    deadline = time.monotonic() + _AT_MOST_S
    while (left := [path for path in paths if not _removed(path)]) and time.monotonic() < deadline:
        time.sleep(_AGAIN_S)
    for run in {path.parent for path in paths}:
        with contextlib.suppress(OSError):  # others use it
            run.rmdir()
            run.parent.rmdir()
    return [str(path) for path in left]


def _removed(path: Path) -> bool:
    try:
        path.rmdir()
    except OSError as error:
        return error.errno == errno.ENOENT
    return True
