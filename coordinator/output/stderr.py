"""stderr without waiting for its reader: a paused terminal, a dead connection, or a pipe that nobody reads.

A run that waits for the reader of its messages loses its leases, and with them its result.  So a thread writes, because
nothing else helps: `poll` promises room for one byte only, and the open file is shared with the shell and with other
processes, so it must not be made non-blocking.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Self, TextIO, cast

from coordinator.output.streams import READABLE, abandon, descriptor_of, say_on, stderr_console, write_all

if TYPE_CHECKING:
    from rich.console import Console

MOST_BYTES = 1 << 18
"""So much is kept for a reader that does not read: the lines of a run of 20 minutes, for example."""

PATIENCE_S = 1.0
"""How long the end of a command, and a stop by Ctrl-Z, wait for the reader.  Less than half of a lease."""


@contextlib.contextmanager
def patient_console() -> Iterator[Console]:
    """A console on stderr whose output never waits for the reader of stderr, until the end of the context."""
    from rich.console import Console

    with _patient_stderr() as stream:
        yield Console(file=cast(TextIO, stream), stderr=True) if stream is not None else stderr_console()


@contextlib.contextmanager
def speaking() -> Iterator[Callable[[str], None]]:
    """Yield a function that says a line on stderr without waiting for the reader, until the end of the context."""
    with _patient_stderr() as stream:

        def say(text: str) -> None:
            if stream is not None:
                stream.write(f"{text}\n")
            else:
                say_on(stderr_console(), text)

        yield say


def say_once(text: str) -> None:
    """Say a line on stderr, which waits for the reader for `PATIENCE_S` at most."""
    with speaking() as say:
        say(text)


@contextlib.contextmanager
def _patient_stderr() -> Iterator[_Patient | None]:
    descriptor = descriptor_of(sys.stderr)
    if descriptor is None:
        yield None
        return
    with _Patient(sys.stderr, descriptor) as stream:
        yield stream


def waiting_s(console: Console) -> float:
    """How long the oldest text on this console has been waiting for the reader; 0.0 when all is written."""
    stream = _patient(console)
    return stream.waiting_s if stream is not None else 0.0


def settle(console: Console) -> None:
    """Wait until all is written, but not longer than a healthy reader takes."""
    stream = _patient(console)
    if stream is not None:
        stream.settle()


def _patient(console: Console) -> _Patient | None:
    stream: object = console.file
    return stream if isinstance(stream, _Patient) else None


class _Patient(io.TextIOBase):
    """A text stream that a thread writes to the descriptor of `stream`, in order.

    What exceeds `MOST_BYTES` is left out; the number of missing lines is written in its place.  After the first failure
    (a closed terminal, a pipe without a reader), everything is discarded.
    """

    def __init__(self, stream: TextIO, descriptor: int) -> None:
        self._stream = stream
        self._descriptor = descriptor
        self._changed = threading.Condition()
        self._waiting: deque[tuple[float, bytes]] = deque()  # each with its time; the first one is being written
        self._bytes = 0
        self._missing = 0  # lines that were left out since the last one that is waiting
        self._over = self._gone = False

    def __enter__(self) -> Self:
        # A daemon, because nothing but the reader can end a write that waits.
        threading.Thread(target=self._write_all, name="stderr", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._over = True
            self._changed.notify_all()
        self.settle()

    @property
    def encoding(self) -> str:  # type: ignore[override]  # read-only here
        return self._stream.encoding

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return not self._gone and os.isatty(self._descriptor)

    @property
    def waiting_s(self) -> float:
        """How long the oldest text has been waiting for the reader; 0.0 when all is written."""
        with self._changed:
            return time.monotonic() - self._waiting[0][0] if self._waiting else 0.0

    def write(self, text: str) -> int:
        data = text.encode(self.encoding, READABLE)
        with self._changed:
            if self._gone:
                return len(text)
            if self._bytes + len(data) > MOST_BYTES:
                self._missing += text.count("\n")
                return len(text)
            self._say_missing()
            self._put(data)
        return len(text)

    def settle(self) -> None:
        """Wait until all is written, but at most `PATIENCE_S`."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting, PATIENCE_S)

    def _put(self, data: bytes) -> None:
        self._waiting.append((time.monotonic(), data))
        self._bytes += len(data)
        self._changed.notify_all()

    def _say_missing(self) -> None:
        if self._missing:
            missing, self._missing = self._missing, 0
            said = f"! {missing:,} line{'s are' if missing > 1 else ' is'} missing here: nobody read stderr\n"
            self._put(said.encode(self.encoding, READABLE))

    def _write_all(self) -> None:
        """The thread: write what waits, until the end of the context."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._over)
                if not self._waiting:
                    return
                data = self._waiting[0][1]
            try:
                write_all(self._descriptor, data)
            except OSError:
                self._give_up()
                return
            with self._changed:
                self._waiting.popleft()
                self._bytes -= len(data)
                if not self._waiting:
                    self._say_missing()
                self._changed.notify_all()

    def _give_up(self) -> None:
        abandon(self._descriptor)  # first: those who wait go on as soon as nothing is waiting
        with self._changed:
            self._gone = True
            self._waiting.clear()
            self._changed.notify_all()
