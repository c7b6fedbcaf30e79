"""The sending part of all kinds of plans: the engine, its time stamps, the addresses to connect to and from."""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Sequence

from loadgen.model.errors import PlanError
from loadgen.model.units import format_duration

PACED_READ_BYTES = 4_096
"""The most that an engine reads at once with paced reads."""


class EngineKind(enum.Enum):
    """The engine that is wanted, or that was taken (never AUTO)."""

    AUTO = "auto"  # the compiled engine where it can play what is asked, else the Python engine
    PYTHON = "python"
    COMPILED = "compiled"


class Timestamps(enum.Enum):
    """The source of a reply's arrival time."""

    AUTO = "auto"  # the most accurate kind that the engine has
    KERNEL = "kernel"  # the kernel's receive time stamp: queueing in the load generator is not charged to the server
    LOOP = "loop"  # when the event loop woke up: one time for all replies that were readable then


class Resolve(enum.Enum):
    """The addresses of a name that connections use; those that do not accept a connection at the start are left out."""

    ALL = "all"  # in turn: each gets the same number of connections
    FIRST = "first"  # all connections use the first one, in the resolver's order


class IpVersion(enum.Enum):
    """The version of IP that connections use."""

    ANY = "any"
    V4 = "4"
    V6 = "6"


def check_engines(engines: int, connections: int) -> None:
    """Raises PlanError when so many engine processes cannot share the connections."""
    if not 1 <= engines <= connections:
        raise PlanError(f"engines must be between 1 and {connections}, the number of connections, got {engines}")


def check_timeout(timeout_ns: int) -> None:
    """Raises PlanError when a server gets no time to answer."""
    if timeout_ns < 1:
        raise PlanError(f"the timeout must be more than 0s, got {format_duration(timeout_ns)}")


def check_sending(
    engine: EngineKind, timestamps: Timestamps, sources: Sequence[str], *, paced_reads: bool = False
) -> None:
    """Raises PlanError when no engine on any machine can do this, or when a source is not an IP address."""
    for source in sources:
        try:
            ipaddress.ip_address(source)
        except ValueError:
            raise PlanError(f"the source {source!r} is not an IP address") from None
    if timestamps is not Timestamps.KERNEL:
        return
    if engine is EngineKind.PYTHON:
        raise PlanError("only the compiled engine reads the kernel's time stamps", hint="use --timestamps auto")
    if paced_reads:  # a paced read leaves the reply in the kernel until its time has come
        raise PlanError(
            "with paced reads, the kernel's time stamps do not tell when a reply was read",
            hint="use --timestamps auto, or --no-paced-reads",
        )
