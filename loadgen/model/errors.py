"""Errors, told apart by whose fault they are, and the exit code that each one means.

Everything raised on purpose is a :class:`LoadgenError` and is shown as one line without a traceback.
Any other exception is a bug of ours and is shown as one.
"""

from __future__ import annotations

import enum


class ExitCode(enum.IntEnum):
    """What the command answers to its caller (DESIGN.md, "Verdicts")."""

    CONFORMING = 0
    NOT_CONFORMING = 1
    USAGE = 2
    INVALID = 3
    DEGRADED = 4
    INTERNAL = 70  # EX_SOFTWARE of sysexits.h: our bug
    INTERRUPTED = 130  # 128 + SIGINT, as shells report it


class LoadgenError(Exception):
    """Base of everything we raise on purpose.

    `message` says what was wrong in one line; `hint` says what to do about it.
    """

    exit_code = ExitCode.USAGE

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class PlanError(LoadgenError):
    """The user asked for something that cannot be run."""


class TargetError(LoadgenError):
    """A web server could not be started, or does not answer."""

    exit_code = ExitCode.NOT_CONFORMING


class FleetError(LoadgenError):
    """A load machine or an engine process is missing, too old or out of resources."""

    exit_code = ExitCode.INVALID
