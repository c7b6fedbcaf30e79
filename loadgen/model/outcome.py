"""How one operation ended."""

from __future__ import annotations

import enum


class Outcome(enum.IntEnum):
    """How one operation ended.  The numbers are part of the record's format: append, never renumber.

    Every member but OK and CUT is an error of the operation.
    """

    OK = 0
    CUT = 1  # the run ended while it was under way: neither good nor bad, its bytes and time still count
    REFUSED = 2  # connect: the target refused
    UNREACHABLE = 3  # connect: no route, or no answer within the time-out
    LOCAL_LIMIT = 4  # connect: this machine ran out of ports or file descriptors (our fault, not the target's)
    NO_REPLY = 5  # the connection ended before the first byte of a reply
    RESET = 6  # the connection was reset inside a reply
    CLOSED_EARLY = 7  # the connection was closed inside a reply: the body is short
    TIMED_OUT = 8  # no byte arrived for the time-out
    MALFORMED = 9  # the reply is not HTTP
    HEAD_TOO_LARGE = 10  # the reply's head, or one of its lines, is over the limit
    BAD_STATUS = 11  # another status than expected
    BAD_LENGTH = 12  # the body is complete by its own framing, but not of the expected length
    BAD_CONTENT = 13  # header line, validation bytes, advertisement or page frame are wrong
    BAD_COOKIE = 14  # Set-Cookie is missing or not the expected one
    SHED = 15  # an open loop's operation that was never sent: too many were waiting for a connection
    BAD_TLS = 16  # the TLS handshake failed, or the certificate is not to be trusted

    @property
    def is_error(self) -> bool:
        """Whether the operation counts as bad."""
        return self not in (Outcome.OK, Outcome.CUT)


OUTCOMES = len(Outcome)
