"""The contract of an engine: its input and its output.  One test suite covers all engines (tests/contract)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from loadgen.measure.events import AddressUse
from loadgen.measure.snapshot import Snapshot
from loadgen.model.bound import Bound
from loadgen.model.sending import EngineKind as EngineKind  # a plan names them, too
from loadgen.model.sending import IpVersion, Resolve
from loadgen.model.sending import Timestamps as Timestamps
from loadgen.model.shard import Shard
from loadgen.model.stages import Ramp
from loadgen.model.target import Target
from loadgen.model.tls import TLS_DEFAULTS, TlsSettings
from loadgen.model.units import NS_PER_MS
from loadgen.schedule.optape import OpTape

LEASE_NS = 2500 * NS_PER_MS
"""How long an engine plays after it last heard from the agent."""

MAX_ARRIVALS_PER_S = 1 << 20
"""Operations that may become due at each engine per second: as many as `--find` may try.  With a core of its own, an
engine counts four times as many, also of those that it cannot send; one that cannot keep up is taken for lost.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """An open loop: operations are due independently of how earlier ones ended (loadgen.schedule.arrivals).

    Operation k of all engines is due `offset(k)` after the start of the segment, and this engine plays those with
    k mod `parts` == `part`.  An operation goes to a free connection of its target.  Without one it waits and keeps its
    due time; it is recorded as SHED if `max_backlog` operations already wait for that target.  `total` is the number of
    operations of all engines together; 0 for as many as the segment's length allows.  With `ramps`, the rate changes as
    they say, from the start of the segment on.
    """

    rate_per_s: float
    poisson: bool
    seed: int
    part: int
    parts: int
    max_backlog: int
    ramps: tuple[Ramp, ...] = ()
    total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The settings by which operations are played and judged.

    `line_bps` 0 means unpaced: a closed loop without think time, or with `arrivals` an open loop.  After an error
    a connection rests for `error_rest_ns`, so that a dead target is not flooded with connects; in an open loop other
    connections play its operations meanwhile.  `sources` are addresses of this machine to connect from, in turn;
    () leaves the choice to the kernel.  `resolve` and `ip_version` choose among the addresses of a target.
    `canary`: the machine runs a responder for a canary on each engine.
    `streams`: 0 for HTTP/1.1; otherwise HTTP/2, and so many connections of the load, one after another by number, are
    streams of one TCP connection.
    The engine is number `part` of `parts` in the run.
    `requests`: in a closed loop, the number of operations that this engine plays in a segment, which then ends;
    0 for as many as the segment's length allows.  `request_ns` is the longest time from sending a request to the end of
    its reply; 0 for no limit.  `dial`: by target, the host and port that its connections go to; () for its own.
    """

    line_bps: int
    bound: Bound
    timeout_ns: int
    paced_reads: bool = False
    arrivals: Arrivals | None = None
    engine: EngineKind = EngineKind.AUTO
    timestamps: Timestamps = Timestamps.AUTO
    sources: tuple[str, ...] = ()
    tls_verify: bool = True
    error_rest_ns: int = 250 * NS_PER_MS
    canary: bool = False
    resolve: Resolve = Resolve.FIRST
    ip_version: IpVersion = IpVersion.ANY
    streams: int = 0
    part: int = 0
    parts: int = 1
    requests: int = 0
    request_ns: int = 0
    dial: tuple[tuple[str, int], ...] = ()
    tls: TlsSettings = TLS_DEFAULTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """Everything that an engine process is given before its first segment.

    `shares[t]` is the number of connections to target t.  Connections are numbered target by target.  `canary_port` is
    the port of the machine's responder for this engine (loadgen.engine.canary); 0 for no canary.
    """

    worker: str
    shard: Shard
    targets: tuple[Target, ...]
    shares: tuple[int, ...]
    tape: OpTape
    load: Load
    canary_port: int = 0

    def to_wire(self) -> dict[str, Any]:
        """The assignment as dicts, lists, bytes, strings and numbers, for msgpack."""
        load = asdict(self.load)
        load["bound"] = self.load.bound.to_wire()
        load["engine"] = self.load.engine.value
        load["timestamps"] = self.load.timestamps.value
        load["resolve"] = self.load.resolve.value
        load["ip_version"] = self.load.ip_version.value
        load["sources"] = list(self.load.sources)
        return {
            "worker": self.worker,
            "shard": self.shard.to_wire(),
            "targets": [asdict(target) for target in self.targets],
            "shares": list(self.shares),
            "tape": self.tape.to_wire(),
            "load": load,
            "canary_port": self.canary_port,
        }

    @property
    def dialed(self) -> tuple[Target, ...]:
        """The targets with the hosts and ports that their connections go to."""
        if not self.load.dial:
            return self.targets
        both = zip(self.targets, self.load.dial, strict=True)
        return tuple(replace(target, host=host, port=port) for target, (host, port) in both)

    @property
    def own(self) -> tuple[int, int]:
        """What differs between the loads of workers: the part of an open loop, and the number of operations."""
        return (self.load.arrivals.part if self.load.arrivals is not None else 0), self.load.requests

    def with_own(self, part: int, requests: int) -> Assignment:
        """The assignment with what differs between workers; the inverse of :attr:`own`."""
        arrivals = replace(self.load.arrivals, part=part) if self.load.arrivals is not None else None
        return replace(self, load=replace(self.load, arrivals=arrivals, requests=requests))

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Assignment:
        """Rebuild an assignment from the plain data that :meth:`to_wire` returned."""
        load = dict(wire["load"])
        load["bound"] = Bound.from_wire(load["bound"])
        load["engine"] = EngineKind(load["engine"])
        load["timestamps"] = Timestamps(load["timestamps"])
        load["resolve"] = Resolve(load["resolve"])
        load["ip_version"] = IpVersion(load["ip_version"])
        load["sources"] = tuple(load["sources"])
        if arrivals := load["arrivals"]:
            load["arrivals"] = Arrivals(**{**arrivals, "ramps": tuple(map(tuple, arrivals["ramps"]))})
        load["dial"] = tuple((host, port) for host, port in load["dial"])
        load["tls"] = TlsSettings(**load["tls"])
        return cls(
            worker=wire["worker"],
            shard=Shard.from_wire(wire["shard"]),
            targets=tuple(Target(**target) for target in wire["targets"]),
            shares=tuple(wire["shares"]),
            tape=OpTape.from_wire(wire["tape"]),
            load=Load(**load),
            canary_port=wire["canary_port"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A period of traffic.  All times are CLOCK_MONOTONIC ns of the load machine.

    Intervals are whole seconds counted from `origin_ns`, which is the same for all segments of a run.
    """

    index: int
    origin_ns: int
    start_ns: int
    window_start_ns: int
    window_end_ns: int
    end_ns: int


class Engine(Protocol):
    """Plays an assignment.  All methods must be called on the thread of the event loop that owns the engine."""

    def start(self, segment: Segment) -> None:
        """Play from `segment.start_ns` to `segment.end_ns`, then stop and call the `ended` hook.  Returns at once."""

    def renew(self, until_ns: int) -> None:
        """Extend the lease: the engine stops by itself when the clock passes `until_ns`."""

    def stop(self) -> None:
        """End the segment now.  Operations in progress are recorded as CUT.  Idempotent."""

    def drain(self, interval: int) -> Snapshot:
        """Everything recorded since the previous interval, as the snapshot of `interval`.  Repeatable."""

    @property
    def addresses(self) -> tuple[AddressUse, ...]:
        """The addresses of targets whose names have several, with the connections of this engine to each."""

    def take_canary(self) -> NDArray[np.void]:
        """The records (RECORD_DTYPE) of the canary since the last call; no rows without a canary."""

    def take_remarks(self) -> Mapping[str, int]:
        """What was noticed about servers besides outcomes since the last call, and how often."""

    @property
    def handshakes(self) -> tuple[int, int]:
        """The TLS handshakes since the engine was made: full ones, resumed ones."""

    @property
    def done_ns(self) -> int:
        """When the given number of operations was done; 0 before, and when the segment ended otherwise."""


EndedHook = Callable[[Segment, str], None]
"""Called when a segment has ended, with the reason: "complete", "stopped" or "lease expired"."""
