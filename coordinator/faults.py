"""What to say of exceptions that nobody expected: a lack of memory, or a bug of loadgen."""

from __future__ import annotations

import traceback
from collections.abc import Callable

from loadgen.model.errors import FleetError, InternalError, LoadgenError
from loadgen.model.secrets import mask_text
from loadgen.model.shortage import is_short_of_memory


def as_error(error: Exception, write: Callable[[str], object]) -> LoadgenError:
    """Return the error for the user: a LoadgenError as it is; of a bug, `write` gets the traceback, without secrets."""
    if isinstance(error, LoadgenError):
        return error
    if is_short_of_memory(error):
        said = traceback.format_exception_only(error)[-1].strip()
        return FleetError(
            f"this machine has too little memory for loadgen: {said}",
            hint="free memory, or raise the limit (ulimit -v, the memory limit of the container or service)",
        )
    write(mask_text("".join(traceback.format_exception(error))))
    return InternalError("this is a bug in loadgen, not in the plan; please report it with the lines above")


def say_stopped(what: str, error: Exception, say: Callable[[str], object]) -> None:
    """Say that a part of loadgen which no run needs has failed; a bug is shown with its traceback."""
    found = as_error(error, lambda trace: say(trace.rstrip()))
    say(f"{what} stopped, the run goes on: {found.message}")
