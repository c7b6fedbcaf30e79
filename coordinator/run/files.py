"""The files that servers must have.  They are made in the cache of this machine before the servers start."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from coordinator.run.api import Around
from workloads.api import Progress, ServerFiles

T = TypeVar("T")


def document_roots(cache: Path, count: int, *, own: bool) -> tuple[Path, ...]:
    """Return the document root of each of `count` VMs: one shared directory, or with `own` one directory per VM."""
    if not own:
        return (cache / "fileset",) * count
    return tuple(cache / "per-vm" / f"vm{number + 1}" for number in range(count))


async def prepare_files(files: ServerFiles, around: Around, count: int, *, own: bool) -> None:
    """Make missing files in the document roots of `count` VMs.

    Raises LoadgenError when the files cannot be made.  When the coroutine is cancelled, it stops after the part that is
    being made.
    """
    shared = around.cache / "fileset"
    around.say(f"file set: {files.extent}, {files.size_bytes / 1e6:.0f} MB, in {shared}")
    await _while_wanted(functools.partial(files.prepare, shared), around.progress)
    if own:
        copies = around.cache / "per-vm"
        size_mb = count * files.size_bytes / 1e6
        around.say(f"a copy of the file set for each of {count} VMs: {size_mb:.0f} MB, in {copies}")
        for root in document_roots(around.cache, count, own=True):
            await _while_wanted(functools.partial(files.copy, shared, root), _unseen)


async def _while_wanted(make: Callable[[Progress], T], progress: Progress) -> T:
    """Run `make` in a thread.  When this coroutine is cancelled, the thread stops at its next report of progress."""
    unwanted = threading.Event()

    def told(done: int, total: int) -> None:
        if unwanted.is_set():
            raise InterruptedError
        progress(done, total)

    try:
        return await asyncio.to_thread(make, told)
    finally:
        unwanted.set()


def _unseen(done: int, total: int) -> None:
    """Copies take little time compared with making the first file set, so they need no progress bar."""
