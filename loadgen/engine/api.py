"""The contract of an engine: what goes down, what comes back.  Every engine passes one suite (tests/contract)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from loadgen.measure.snapshot import Snapshot
from loadgen.model.bound import Bound, BoundKind
from loadgen.model.sending import EngineKind as EngineKind  # a plan names them, too
from loadgen.model.sending import Timestamps as Timestamps
from loadgen.model.shard import Shard
from loadgen.model.target import Target
from loadgen.model.units import NS_PER_MS
from loadgen.schedule.optape import OpTape

LEASE_NS = 2500 * NS_PER_MS
"""How long an engine plays without hearing from whoever drives it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """An open loop: operations are due whatever became of those before (loadgen.schedule.arrivals).

    Operation k of all engines is due at `offset(k)` after the segment's start, and this engine plays those with
    k mod `parts` == `part`.  It goes to a free connection of its target; without one it waits, keeps its due time,
    and is recorded as SHED when more than `max_backlog` wait.
    """

    rate_per_s: float
    poisson: bool
    seed: int
    part: int
    parts: int
    max_backlog: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How operations are played and judged.

    `line_bps` 0 means unpaced: a closed loop without think time, or with `arrivals` an open loop.  After an error
    a connection rests for `error_rest_ns`, so that a dead target is not hammered (in an open loop, too: what is due
    goes to the others).  `sources` are addresses of this machine to connect from, in turn; () leaves it to the kernel.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What one engine process gets, once.

    `shares[t]` is the number of target t's connections; they are numbered target by target.
    """

    worker: str
    shard: Shard
    targets: tuple[Target, ...]
    shares: tuple[int, ...]
    tape: OpTape
    load: Load

    def to_wire(self) -> dict[str, Any]:
        """Plain data for msgpack."""
        load = asdict(self.load)
        load["bound"]["kind"] = self.load.bound.kind.value
        load["engine"] = self.load.engine.value
        load["timestamps"] = self.load.timestamps.value
        load["sources"] = list(self.load.sources)
        return {
            "worker": self.worker,
            "shard": self.shard.to_wire(),
            "targets": [asdict(target) for target in self.targets],
            "shares": list(self.shares),
            "tape": self.tape.to_wire(),
            "load": load,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Assignment:
        """The inverse of :meth:`to_wire`."""
        load = dict(wire["load"])
        load["bound"] = Bound(**{**load["bound"], "kind": BoundKind(load["bound"]["kind"])})
        load["engine"] = EngineKind(load["engine"])
        load["timestamps"] = Timestamps(load["timestamps"])
        load["sources"] = tuple(load["sources"])
        load["arrivals"] = Arrivals(**load["arrivals"]) if load["arrivals"] else None
        return cls(
            worker=wire["worker"],
            shard=Shard.from_wire(wire["shard"]),
            targets=tuple(Target(**target) for target in wire["targets"]),
            shares=tuple(wire["shares"]),
            tape=OpTape.from_wire(wire["tape"]),
            load=Load(**load),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One stretch of traffic, in CLOCK_MONOTONIC ns of the load machine.

    Intervals are counted in whole seconds from `origin_ns`, the same for all segments of a run.
    """

    index: int
    origin_ns: int
    start_ns: int
    window_start_ns: int
    window_end_ns: int
    end_ns: int


class Engine(Protocol):
    """Plays an assignment.  Everything happens on the thread that owns it."""

    def start(self, segment: Segment) -> None:
        """Play from `segment.start_ns` to `segment.end_ns`; then stop by itself and call the `ended` hook."""

    def renew(self, until_ns: int) -> None:
        """Extend the lease: traffic stops by itself once the clock passes `until_ns`."""

    def stop(self) -> None:
        """End the segment now.  Operations under way are recorded as cut.  Idempotent."""

    def drain(self, interval: int) -> Snapshot:
        """Everything recorded since the last drain, as the snapshot of `interval`."""


EndedHook = Callable[[Segment, str], None]
"""Called once a segment has ended, with why: "complete", "stopped" or "lease expired"."""
