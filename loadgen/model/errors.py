"""Errors by cause, with their exit codes.

Every error that is raised on purpose is a :class:`LoadgenError`, and is shown as one line without a traceback.  Any
other exception is a bug, and is shown with a traceback.
"""

from __future__ import annotations

import enum


class ExitCode(enum.IntEnum):
    """Exit codes of the command (DESIGN.md, "Verdicts")."""

    CONFORMING = 0  # the servers meet the rules, or the measurement holds
    NOT_CONFORMING = 1  # the servers do not meet the rules, or none could be reached
    USAGE = 2  # wrong usage, or a plan that cannot be run
    INVALID = 3  # the load generator was the limit, or something disturbed the measurement
    DEGRADED = 4  # a load machine or an engine was lost
    INTERNAL = 70  # a bug of loadgen: EX_SOFTWARE of sysexits.h
    INTERRUPTED = 130  # stopped by the user: 128 + SIGINT, as shells report it


class LoadgenError(Exception):
    """Base class of all errors that are raised on purpose.

    `message`: what was wrong, in one line.  `hint`: what to do about it; may be empty.  `after_result`: the command
    has printed a result before the error, so the error must not be printed as a second one.  `of_generator`: the load
    generator has too few resources for the requested load, and may have enough for a lighter one.
    """

    exit_code = ExitCode.USAGE

    def __init__(self, message: str, *, hint: str = "", of_generator: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.after_result = False
        self.of_generator = of_generator


class PlanError(LoadgenError):
    """The user requested something that cannot be run."""


class TargetError(LoadgenError):
    """A target could not be started, or does not answer."""

    exit_code = ExitCode.NOT_CONFORMING


class InternalError(LoadgenError):
    """A bug of loadgen ended a part of the work; its traceback has been shown."""

    exit_code = ExitCode.INTERNAL


class FleetError(LoadgenError):
    """A load machine or an engine process is missing, has the wrong version, or lacks resources."""

    exit_code = ExitCode.INVALID
