"""A small file system for one process of a test, which can be filled and emptied while the process runs."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

BYTES = 4 << 20
"""The size of the file system."""


def on_small_disk(directory: Path, *argv: str | Path) -> tuple[str | Path, ...]:
    """Return the command line that runs `argv` with a small file system of its own at `directory`, which exists."""
    mount = f"mount -t tmpfs -o size={BYTES} none '{directory}' && exec \"$@\""
    return "unshare", "--mount", "sh", "-c", mount, "sh", *argv


def small_disk_of(pid: int) -> Path:
    """Return the small file system of a process, as this process reaches it.  Raises LookupError if it has none."""
    for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines():
        fields = line.split()
        if "tmpfs" in fields and f"size={BYTES >> 10}k" in fields[-1].split(","):
            return Path(f"/proc/{pid}/root{fields[4]}")
    raise LookupError(f"process {pid} has no small file system")


@contextlib.contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Inside, nothing more can be written to the file system."""
    with (disk / "filler").open("wb", buffering=0) as file:
        for size in (1 << 16, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
        yield
        file.truncate(0)
