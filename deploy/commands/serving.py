"""Runs the commands that come as lines, one after the other, and answers with what was measured of each."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from deploy.commands.running import run_step
from deploy.commands.wire import Step, encode_ran

_CHUNK_BYTES = 65536


class Lines(Iterator[bytes]):
    """The lines of a descriptor, without buffers that a child would share."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._unread = b""

    def __next__(self) -> bytes:
        while b"\n" not in self._unread:
            chunk = os.read(self.descriptor, _CHUNK_BYTES)
            if not chunk:
                raise StopIteration
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        return line


def serve(lines: Lines, answers: int, work: Path) -> None:
    """Run each command that comes, in the directory `work`, until no more come."""
    for line in lines:
        ran = run_step(Step.decode(line), work, lines.descriptor)
        if ran is None:  # nobody waits for it
            return
        write(answers, encode_ran(ran))


def write(descriptor: int, data: bytes) -> None:
    """Write all of the data, unless nobody reads it any more."""
    with contextlib.suppress(BrokenPipeError):
        while data:
            data = data[os.write(descriptor, data) :]
