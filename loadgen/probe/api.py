"""The two ends of a probe, as everybody above them sees them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from loadgen.measure.throughput import Tick
from loadgen.model.errors import TargetError

OnTick = Callable[[Tick], None]
"""Told about once a second while a test runs."""


class ProbeError(TargetError):
    """The other end is not there, refuses, breaks off, or does not speak the protocol."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """What a server puts up with.

    `tests` run at once, `streams` in each of them.  A peer that owes us a message of the protocol has
    `patience_ns`; a test may last `longest_ns`.  Before a connection has shown a cookie it is one of
    at most `strangers`.
    """

    tests: int = 64
    streams: int = 1024
    strangers: int = 2048
    patience_ns: int = 10_000_000_000
    longest_ns: int = 86_400_000_000_000
    parameters_bytes: int = 1 << 16
    results_bytes: int = 1 << 22


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedTest:
    """A test that a server has finished with.  `ended` is "done", or why it broke off, in words.

    Bytes are without what was omitted; `seconds` is the measured time.
    """

    client: str
    what: str
    ended: str
    seconds: float
    sent_bytes: int
    received_bytes: int
    cpu_seconds: float


@dataclass(slots=True)
class ServerCounters:
    """Everything that ever came to a server: nothing is dropped without being one of these.

    `late` are connections of a test that was over when they came.
    """

    connections: int = 0
    tests_done: int = 0
    tests_broken: int = 0
    refused_busy: int = 0
    garbage: int = 0
    timed_out: int = 0
    late: int = 0
    unknown_datagrams: int = 0
