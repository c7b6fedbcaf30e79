"""Resolves the host name of a target to one socket address."""

from __future__ import annotations

import socket
from typing import Any

from loadgen.model.errors import TargetError
from loadgen.model.target import Target

_TRY_S = 1.0  # how long each of several addresses of a target may take to accept a connection

Address = tuple[int, tuple[str, int] | tuple[str, int, int, int]]
"""(address family, socket address)."""


def resolve(target: Target) -> Address:
    """The address of `target`; of several, the first that accepts.  Raises TargetError if its host has none."""
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # UnicodeError: not a valid host name
        why = error.strerror if isinstance(error, OSError) else "it is not a valid host name"
        raise TargetError(f"target {target.name}: host {target.host!r} cannot be resolved: {why}") from error
    family, _, _, _, address = next(filter(_answers, found), found[0]) if len(found) > 1 else found[0]
    return family, address  # type: ignore[return-value]  # AF_INET and AF_INET6 only


def _answers(candidate: tuple[Any, ...]) -> bool:
    """Whether a connect to `candidate` succeeds: a server may not listen on all addresses of its name."""
    family, kind, protocol, _, address = candidate
    try:
        with socket.socket(family, kind, protocol) as sock:
            sock.settimeout(_TRY_S)
            sock.connect(address)
    except OSError:
        return False
    return True
