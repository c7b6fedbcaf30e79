"""Removes cgroups."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from loadgen.model.errors import TargetError
from loadgen.model.units import counted

_AGAIN_S = 0.01
_AT_MOST_S = 2.0


def check_removed(left: Sequence[str]) -> None:
    """Raise TargetError for cgroups that the kernel has not removed: a process in them has not ended."""
    if left:
        pids = sorted({pid for group in left for pid in _processes(Path(group))})
        first = f"kill -9 {' '.join(map(str, pids))}; " if pids else ""
        raise TargetError(
            f"the kernel has not removed {counted(len(left), 'cgroup')} of the VMs within {_AT_MOST_S:g} s: "
            f"{', '.join(left)}",
            hint=f"the next run with such VMs removes what is left; or, as root: {first}rmdir {' '.join(left)}",
        )


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


def _processes(group: Path) -> list[int]:
    try:
        return [int(pid) for pid in (group / "cgroup.procs").read_text().split()]
    except OSError:
        return []


def _removed(path: Path) -> bool:
    try:
        path.rmdir()
    except OSError:
        return not path.exists()
    return True
