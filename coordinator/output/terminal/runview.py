"""The values that the live views show."""

from __future__ import annotations

from dataclasses import dataclass

from loadgen.verdict.span import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """The progress of a run.

    `phase` is a word for people; `iteration` counts from 0 and is -1 before the first one.  `phase_length_s` is 0 when
    the length of the phase is not known (while servers start, or logs are compared).
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
    """One VM, or the sum of all.

    Rates and percentiles are those of the newest complete interval; in the percentiles, failed and cut operations count
    with lower bounds.  `conforming` and `errors` are those of the iteration so far; `errors` of its measured window
    only, once an operation of that has ended.  `conforming` is None when no connection of the VM can be judged yet.
    `operations` succeeded in the iteration so far, ramps and warm-up included; `received_bytes` came in the same time.
    """

    name: str
    address: str
    requested: int
    conforming: int | None
    ops_per_s: float
    mbit_per_s: float
    p50_ms: Span | None
    p99_ms: Span | None
    errors: int
    operations: int = 0
    received_bytes: int = 0

    @property
    def failing(self) -> bool:
        """Whether it has errors or connections that do not conform."""
        return self.errors > 0 or (self.conforming is not None and self.conforming < self.requested)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRow:
    """One engine process in the newest complete interval.

    `cpu_share` is the share of one core that the process used.  `runqueue_share` is the share of the time during which
    it waited for a core; None where the kernel does not report it.
    """

    worker: str
    connections: int
    cpu_share: float
    runqueue_share: float | None
    lateness_p99_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineRow:
    """One load machine of several.

    `cpu_share` is the share of all its cores; `lateness_p99_ms` is the lateness of its worst engine in the newest
    complete interval.
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
    """A spec run at one moment.

    `interval` is the newest complete interval, which the rows show; it is -1 when there is none yet.  `machines` has
    rows only for load machines other than this one; a run on this machine shows its engines.
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
        """The remaining time by the plan."""
        return max(0.0, self.total_s - self.elapsed_s)

    @property
    def failing(self) -> tuple[TargetRow, ...]:
        """The VMs with problems so far, in their order."""
        return tuple(row for row in self.targets if row.failing)
