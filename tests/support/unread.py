"""Streams that nobody reads, and terminals that take no output."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PIPE_BYTES = 4096


_WRITE = ("1", "64")
"""The number of the system call on x86 and on ARM."""


def waits_to_write(pid: int, descriptor: int) -> bool:
    """Whether a thread of the process waits in the kernel to write to this descriptor."""
    calls = (path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/syscall"))
    return any(call[0] in _WRITE and call[1] == hex(descriptor) for call in calls if len(call) > 1)


@dataclass(frozen=True, slots=True)
class Ends:
    """The descriptors of a pipe or a terminal: programs write to `inner`, and what they wrote is read from `outer`."""

    outer: int
    inner: int

    def read_all(self) -> bytes:
        """What can be read now, without waiting."""
        found = bytearray()
        os.set_blocking(self.outer, False)
        with contextlib.suppress(OSError):  # nothing more; of a terminal, also when no program has it open any more
            while data := os.read(self.outer, 1 << 16):
                found += data
        os.set_blocking(self.outer, True)
        return bytes(found)


@contextlib.contextmanager
def a_pipe(room: int = PIPE_BYTES) -> Iterator[Ends]:
    """A pipe that takes `room` more bytes."""
    outer, inner = os.pipe()
    with _closed(outer, inner) as ends:
        fcntl.fcntl(inner, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        os.write(inner, b"x" * (PIPE_BYTES - room))
        yield ends


@contextlib.contextmanager
def a_terminal() -> Iterator[Ends]:
    """A terminal of 80 x 24 that is nobody's controlling terminal."""
    outer, inner = pty.openpty()
    with _closed(outer, inner) as ends:
        termios.tcsetwinsize(inner, (24, 80))
        yield ends


@contextlib.contextmanager
def a_full_terminal(room: int = 0) -> Iterator[Ends]:
    """A terminal that takes about `room` more bytes, because nobody has read what was written to it."""
    with a_terminal() as ends:
        os.set_blocking(ends.inner, False)
        for _ in range(5):  # the kernel moves what was written to a second buffer a little later
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.write(ends.inner, b"x" * 100)
            time.sleep(0.02)
        os.set_blocking(ends.inner, True)
        if room:
            os.read(ends.outer, room)
        yield ends


@contextlib.contextmanager
def _closed(outer: int, inner: int) -> Iterator[Ends]:
    try:
        yield Ends(outer, inner)
    finally:
        os.close(inner)
        os.close(outer)
