"""Types shared by both ends of a probe and by their callers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from loadgen.measure.throughput import Tick
from loadgen.model.errors import TargetError

OnTick = Callable[[Tick], None]
"""Called about once per second while a test runs."""


class ProbeError(TargetError):
    """The far end cannot be reached, refuses the test, ends it early, or breaks the protocol."""


class NotListeningError(ProbeError):
    """The far end refused the connection, or ended it before it said anything."""


@dataclass(slots=True)
class Stop:
    """Asks a running test to end early; its result is then what was measured.

    `is_heeded`: the test measures, and will end by itself.  Before, only cancelling ends it.
    """

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    is_heeded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """The limits of a server.

    `tests`: tests at once.  `streams`: streams per test.  `strangers`: connections that have not sent a cookie yet.
    `patience_ns`: how long the server waits for a protocol message.  `longest_ns`: longest test.  `parameters_bytes`
    and `results_bytes`: largest JSON blocks of the client.
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
    """A test that a server has finished.

    `client`: address of the client.  `what`: the test in words.  `ended`: "done", or why the test ended early.
    `seconds`: measured time.  The counts exclude the omitted warm-up.
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
    """Counts of everything that arrived at a server; whatever the server drops is counted in one of them.

    `late`: connections of a test that had already ended.
    """

    connections: int = 0
    tests_done: int = 0
    tests_broken: int = 0
    refused_busy: int = 0
    garbage: int = 0
    timed_out: int = 0
    late: int = 0
    unknown_datagrams: int = 0
