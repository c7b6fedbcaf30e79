"""What a network run needs of the world around it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from coordinator.output.terminal.live import View
from coordinator.output.terminal.progress import Progress
from loadgen.host.addresses import all_addresses


@dataclass(frozen=True, slots=True)
class Surroundings:
    """`say` tells the user what is being prepared; `view` shows the run."""

    command_line: tuple[str, ...]
    say: Callable[[str], None]
    view: View[Progress]


def now() -> str:
    """ISO 8601 with a zone, as records have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def is_here(host: str) -> bool:
    """Whether `host` is an address of this machine, of a container on it too: whatever serves there uses our cores.

    Resolving may take seconds.  What cannot be resolved is nowhere.
    """
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        return False
    for family, kind, protocol, _, address in found:
        with contextlib.suppress(OSError), socket.socket(family, kind, protocol) as asker:  # there may be no IPv6
            asker.bind(address)  # only an address of our own can be had
            return True
    return not all_addresses().isdisjoint(str(address[0]) for *_, address in found)
