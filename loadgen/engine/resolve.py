"""Where a target is: from its host's name to one socket address."""

from __future__ import annotations

import socket
from typing import Any

from loadgen.model.errors import TargetError
from loadgen.model.target import Target

_TRY_S = 1.0  # how long one of several addresses of a target may take to answer

Address = tuple[int, tuple[str, int] | tuple[str, int, int, int]]
"""Address family and socket address."""


def resolve(target: Target) -> Address:
    """The address of `target`; of several, the first that answers.  Raises TargetError when there is none."""
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # UnicodeError: no name can be spelled so
        why = error.strerror if isinstance(error, OSError) else "it is no host name"
        raise TargetError(f"target {target.name}: host {target.host!r} cannot be resolved: {why}") from error
    family, _, _, _, address = next(filter(_answers, found), found[0]) if len(found) > 1 else found[0]
    return family, address  # type: ignore[return-value]  # AF_INET and AF_INET6 only


def _answers(candidate: tuple[Any, ...]) -> bool:
    """Whether anybody accepts there: a name may stand for addresses that its server does not listen on."""
    family, kind, protocol, _, address = candidate
    try:
        with socket.socket(family, kind, protocol) as sock:
            sock.settimeout(_TRY_S)
            sock.connect(address)
    except OSError:
        return False
    return True
