"""The directory of a warden under TMPDIR: locked while the warden lives, removed by the next one if it is killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

_NAME = "loadgen-vms-"


def make_run_directory() -> Path:
    """A new directory that is locked until this process ends.

    The lock is taken before the directory has its final name, so that no other process takes it for a leftover.
    """
    new = Path(tempfile.mkdtemp(prefix=f".{_NAME}"))
    fcntl.flock(os.open(new, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), fcntl.LOCK_EX)
    return new.rename(new.with_name(new.name.removeprefix(".")))


def remove_leftovers() -> None:
    """Remove the directories of wardens that were killed: those of this user that nobody locks."""
    for path in Path(tempfile.gettempdir()).glob(f"{_NAME}*"):
        with contextlib.suppress(OSError):  # gone meanwhile, or locked
            if not path.is_symlink() and path.stat().st_uid == os.geteuid():
                _remove_if_unlocked(path)


def _remove_if_unlocked(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(descriptor)
