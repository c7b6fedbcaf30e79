"""Why a connection to an upstream could not be opened."""

from __future__ import annotations

import enum
import errno

_LOCAL = (errno.EADDRNOTAVAIL, errno.EADDRINUSE, errno.ENOBUFS, errno.ENOMEM)


class Failure(enum.Enum):
    """The cause of a failed connect.  The value is the name of the counter in ProxyCounters."""

    REFUSED = "upstream_refused"
    UNREACHABLE = "upstream_unreachable"
    TIMED_OUT = "upstream_timed_out"
    LOCAL_LIMIT = "local_limit"  # this machine lacked a port or memory: the upstream was not asked


def failure(error: int) -> Failure:
    """The cause that the error number of a connect stands for."""
    if error in _LOCAL:
        return Failure.LOCAL_LIMIT
    if error in (errno.ECONNREFUSED, errno.ECONNRESET):
        return Failure.REFUSED
    return Failure.TIMED_OUT if error == errno.ETIMEDOUT else Failure.UNREACHABLE
