"""The two standard streams: stdout for the result, which must arrive; stderr for the rest, which need not."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO, cast

from loadgen.model.errors import LoadgenError

if TYPE_CHECKING:
    from rich.console import Console


class OutputError(LoadgenError):
    """The result could not be printed."""


@contextlib.contextmanager
def printing() -> Iterator[None]:
    """Inside, the result goes to stdout.

    Raises OutputError when it cannot be written there, BrokenPipeError when its reader has gone.
    """
    if sys.stdout is None:
        raise OutputError("the result cannot be printed: stdout is closed")
    try:
        yield
        sys.stdout.flush()  # now, while a failure can be told
    except BrokenPipeError:
        raise
    except SystemExit:  # rich's own answer to a broken pipe
        raise BrokenPipeError from None
    except OSError as error:
        abandon_stdout()
        raise OutputError(f"the result cannot be printed: stdout: {error.strerror}") from error


def abandon_stdout() -> None:
    """What is still buffered goes nowhere: at exit, Python would try again and complain."""
    _abandon(1)


def _abandon(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def open_missing_streams() -> None:
    """Give the descriptors 0 to 2 to nobody else when they are closed: libuv aborts when it meets them in its pipes."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number


def stderr_console() -> Console:
    """A console on stderr that falls silent when nobody can hear it any more, instead of ending the run."""
    from rich.console import Console  # heavy, and not every command prints with it

    return Console(file=cast(TextIO, _Courtesy(sys.stderr)) if sys.stderr else None, stderr=True)


class _Courtesy(io.TextIOBase):
    """A text stream until its first failure (a terminal that was closed, a pipe without a reader); then nothing."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._gone = False

    @property
    def encoding(self) -> str:  # type: ignore[override]  # read-only here
        return self._stream.encoding

    def write(self, text: str) -> int:
        if not self._gone:
            try:
                self._stream.write(text)
            except OSError:
                self._give_up()
        return len(text)

    def flush(self) -> None:
        if not self._gone:
            try:
                self._stream.flush()
            except OSError:
                self._give_up()

    def _give_up(self) -> None:
        self._gone = True
        _abandon(self._stream.fileno())

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return not self._gone and self._stream.isatty()
