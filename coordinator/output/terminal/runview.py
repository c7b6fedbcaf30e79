"""The one value that every live view shows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where a run is.  `phase` is a word for people; `iteration` counts from 0, -1 before the first one.

    `phase_length_s` is 0 when nobody knows how long the phase takes (servers starting, logs being compared).
    """

    phase: str
    iteration: int
    iterations: int
    phase_elapsed_s: float
    phase_length_s: float
    elapsed_s: float
    total_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetRow:
    """One VM, or all of them.

    Rates and percentiles are of the newest complete interval.  `conforming` and `errors` are those of the
    iteration so far; `conforming` is None when no connection of this VM can be judged yet.
    """

    name: str
    address: str
    requested: int
    conforming: int | None
    ops_per_s: float
    mbit_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    errors: int

    @property
    def failing(self) -> bool:
        """Whether something is wrong with it so far."""
        return self.errors > 0 or (self.conforming is not None and self.conforming < self.requested)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRow:
    """One engine process in the newest complete interval.

    `cpu_share` is the share of one core that it used.  `runqueue_share` is the share of the time that it
    wanted a core and had none; None where the kernel does not say.
    """

    worker: str
    connections: int
    cpu_share: float
    runqueue_share: float | None
    lateness_p99_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineRow:
    """One load machine of several.

    `cpu_share` is of all its cores; `lateness_p99_ms` that of its worst engine in the newest complete interval.
    """

    name: str
    state: str
    engines: int
    cpu_share: float | None
    lateness_p99_ms: float | None
    offset_ms: float
    offset_error_ms: float
    seen_ago_s: float
    failing: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """A run at one moment.  `interval` is the newest complete one that the rows show; -1: none yet.

    `machines` has rows only when there are several: the only one is its engines.
    """

    title: str
    interval: int
    phase: str
    iteration: int
    iterations: int
    phase_elapsed_s: float
    phase_length_s: float
    elapsed_s: float
    total_s: float
    targets: tuple[TargetRow, ...]
    totals: TargetRow
    engines: tuple[EngineRow, ...]
    machines: tuple[MachineRow, ...] = ()
    notices: tuple[str, ...] = ()

    @property
    def remaining_s(self) -> float:
        """Time left by the plan."""
        return max(0.0, self.total_s - self.elapsed_s)

    @property
    def failing(self) -> tuple[TargetRow, ...]:
        """The VMs with something wrong so far, in order."""
        return tuple(row for row in self.targets if row.failing)
