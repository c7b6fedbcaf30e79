"""stdout beside other work: a reader that does not read holds up neither a signal nor a client.

A thread writes, for the reasons in `coordinator.output.stderr`.  It writes to the descriptor: what is in the buffer of
`sys.stdout` would be written once more while Python ends, and wait for the reader there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TextIO

from coordinator.output.streams import OutputError, Sheet, descriptor_of, printing, write_all
from loadgen.host.daemon import in_daemon
from loadgen.model.errors import ExitCode


class UnreadError(OutputError):
    """The user stopped the command while it waited for the reader of stdout, which has not all that belongs there."""

    exit_code = ExitCode.INTERRUPTED

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.after_result = True  # stdout takes nothing, so nothing more is printed there


async def print_beside(write: Callable[[TextIO], object]) -> None:
    """Let `write` write to stdout; the event loop goes on, however long the reader takes.

    When this is cancelled, it ends at once, and the rest may or may not be written.  Raises the errors of `printing`.
    """
    with printing():
        descriptor = descriptor_of(sys.stdout)
        if descriptor is None:
            write(sys.stdout)
            return
        sheet = Sheet(sys.stdout, descriptor)
        write(sheet)
        data = sheet.data()
        await in_daemon("stdout", lambda: write_all(descriptor, data))
