"""The possible outcomes of an operation."""

from __future__ import annotations

import enum


class Outcome(enum.IntEnum):
    """The outcome of an operation.  Records store the numbers: append members, never renumber them.

    All members except OK and CUT are errors.
    """

    OK = 0  # the whole reply arrived in time, and is as expected
    CUT = 1  # the run ended while it was under way: neither ok nor bad; its bytes and time count
    REFUSED = 2  # connect: the target refused the connection
    UNREACHABLE = 3  # connect: no route, or no answer within the time-out
    LOCAL_LIMIT = 4  # connect: this machine had no free port or file descriptor (not the target's fault)
    NO_REPLY = 5  # the connection ended before the first byte of the reply
    RESET = 6  # the connection was reset within the reply
    CLOSED_EARLY = 7  # the connection was closed within the reply: the body is incomplete
    TIMED_OUT = 8  # no byte arrived within the time-out
    MALFORMED = 9  # the reply is not HTTP
    HEAD_TOO_LARGE = 10  # the reply's head, or one of its lines, exceeds the limit
    BAD_STATUS = 11  # the status is not the expected one
    BAD_LENGTH = 12  # the body is complete, but does not have the expected length
    BAD_CONTENT = 13  # a header line, the validation bytes, the advertisement or the page frame is wrong
    BAD_COOKIE = 14  # Set-Cookie is missing or not the expected one
    SHED = 15  # open loop: never sent, because too many operations waited for a connection
    BAD_TLS = 16  # the TLS handshake failed, or the certificate is not trusted

    @property
    def is_error(self) -> bool:
        """Whether the operation counts as bad."""
        return self not in (Outcome.OK, Outcome.CUT)


OUTCOMES = len(Outcome)
