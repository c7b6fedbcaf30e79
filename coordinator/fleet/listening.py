"""Where a coordinator listens for workers that are started by hand, and what is shown to those who start them."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from loadgen.model.address import parse_address
from loadgen.model.errors import PlanError

ANY = "*"
"""The host that stands for all addresses of this machine, IPv4 and IPv6."""

_ALL = ("0.0.0.0", "::")
_BEYOND = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))  # addresses for documents: nobody has them


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting:
    """The `addresses` at which this machine listens at `port`, and the host that is `shown` to workers.

    `warning` says why other machines cannot join; empty if they can.
    """

    addresses: tuple[str, ...]
    port: int
    shown: str
    warning: str = ""


def parse_listen(text: str) -> tuple[str, int]:
    """(host, port) from HOST:PORT; the host of *:PORT, :PORT and [::]:PORT is ANY.  Raises PlanError."""
    bare = text.strip()
    host, port = parse_address(f"{ANY}{bare}" if bare.startswith(":") else bare)
    return (ANY if host == "::" else host), port


def find_meeting(host: str, port: int) -> Meeting:
    """Where to listen for HOST:PORT; port 0 means a free one.  Resolving a name may take seconds.  Raises PlanError."""
    if host == ANY:
        addresses: Sequence[str] = [one for one in _ALL if _can_bind(one)]
        shown = _own_address() or socket.gethostname()
    else:
        addresses = _resolved(host, port)
        shown = addresses[0]
        if ipaddress.ip_address(shown).is_unspecified:
            shown = _own_address() or socket.gethostname()
    return Meeting(
        addresses=tuple(addresses), port=port or _free(addresses), shown=shown, warning=_warning(host, addresses)
    )


def _resolved(host: str, port: int) -> Sequence[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise PlanError(
            f"{host!r} is not an address of this machine: {why}", hint="--listen '*:8786' listens at all of them"
        ) from error
    every = list(dict.fromkeys(socket.getnameinfo(one[4], socket.NI_NUMERICHOST)[0] for one in found))
    # A name may also have an address that is not on this machine, or of a family that this machine does not have.
    return [one for one in every if _can_bind(one)] or every[:1]


def _can_bind(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind((address, 0))
        return True
    return False


def _free(addresses: Sequence[str]) -> int:
    """A port that is free at the first address; 0 if the kernel may choose, because there is one address only."""
    if len(addresses) < 2:
        return 0
    family = socket.AF_INET6 if ":" in addresses[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind((addresses[0], 0))
        return int(probe.getsockname()[1])


def _own_address() -> str:
    """The address of this machine from which it reaches others; "" if there is none.  Nothing is sent."""
    for family, beyond in _BEYOND:
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as asker:
            asker.connect((beyond, 9))
            return str(asker.getsockname()[0])
    return ""


def _warning(host: str, addresses: Sequence[str]) -> str:
    if host == "localhost" or not all(ipaddress.ip_address(one).is_loopback for one in addresses):
        return ""
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(host)
        return ""  # the user wrote that address
    own = _own_address()
    better = f", for example {own}" if own else ""
    return (
        f"{host} is {' and '.join(addresses)} on this machine, which other machines cannot reach: to let them join, "
        f"give an address{better}"
    )
