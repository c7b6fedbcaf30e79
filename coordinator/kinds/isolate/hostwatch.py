"""Watches the machine outside of the VMs while hogs run: does it still start programs, and is there memory left?"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from loadgen.host.others import others_between
from loadgen.host.processes import Sample, take_sample
from loadgen.host.room import read_room
from loadgen.measure.isolation import HostSeen, times_of

_EVERY_S = 0.5


class HostWatch:
    """A watch from :meth:`begin` to :meth:`end`; :meth:`run` goes on until it is cancelled, or hogs must be ended."""

    def __init__(self, keep_memory_bytes: int) -> None:
        self._keep_bytes = keep_memory_bytes
        self._files = Path(tempfile.gettempdir())
        self._spawn_ns: list[int] = []
        self._free_bytes = read_room(self._files).memory_bytes
        self._before: Sample | None = None
        self._refused = ""

    async def begin(self) -> None:
        """Begin."""
        self._before = await asyncio.to_thread(take_sample)

    async def run(self, look: Callable[[], None]) -> str:
        """Look again and again; `look` is called each time.  Returns why the hogs must be ended now."""
        while True:
            await asyncio.to_thread(self._look)
            look()
            if self._refused:
                return f"this machine could not start a program any more: {self._refused}"
            if self._free_bytes < self._keep_bytes:
                return (
                    f"only {self._free_bytes >> 20} MiB of memory were left, "
                    f"less than the {self._keep_bytes >> 20} MiB that are kept free"
                )
            await asyncio.sleep(_EVERY_S)

    async def end(self) -> HostSeen:
        """What was seen."""
        after = await asyncio.to_thread(take_sample)
        share, most = others_between(self._before or after, after, (os.getpid(),))
        return HostSeen(
            spawn=times_of(self._spawn_ns), free_bytes=self._free_bytes, others_share=share, others_most=most
        )

    def _look(self) -> None:
        self._free_bytes = min(self._free_bytes, read_room(self._files).memory_bytes)
        program = shutil.which("true")
        if program is None:
            return
        began_ns = time.monotonic_ns()
        try:
            subprocess.run([program], stdin=subprocess.DEVNULL, check=False)
        except OSError as error:
            self._refused = error.strerror or str(error)
            return
        self._spawn_ns.append(time.monotonic_ns() - began_ns)
