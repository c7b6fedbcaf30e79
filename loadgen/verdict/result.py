"""What a run ends with.  Every number that convicts is in here; reports only print it."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from loadgen.model.errors import ExitCode


class Verdict(enum.Enum):
    """The answer of a run (DESIGN.md, "Verdicts")."""

    CONFORMING = "conforming"
    NOT_CONFORMING = "not conforming"
    INVALID = "INVALID"  # the generator was the bottleneck: nothing is said about the servers
    DEGRADED = "DEGRADED"  # a worker was lost
    INTERRUPTED = "interrupted"  # cut by the user: what was measured is shown, and not judged as a whole

    @property
    def exit_code(self) -> ExitCode:
        """What the command exits with."""
        return ExitCode[self.name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One named comparison of a measured value with a limit.

    `unit` is what both are in.  `detail` says in words what was compared, and names who was over.
    `relation` is "<=", "<", ">=" or ">": ok means value relation limit.
    """

    name: str
    value: float
    limit: float
    ok: bool
    unit: str = ""
    relation: str = "<="
    detail: str = ""

    @classmethod
    def at_most(cls, name: str, share: float, limit: float, *, detail: str) -> Check:
        """Of a share (of 1) that must not be above `limit`: told in percent."""
        return cls(name=name, value=100 * share, limit=100 * limit, ok=share <= limit, unit="%", detail=detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseTimes:
    """Percentiles of the response time (done - due) in milliseconds; None without any operation."""

    p50: float | None
    p90: float | None
    p99: float | None
    max: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetResult:
    """One VM in one iteration (or, in RunResult.targets, in the median iteration).

    `kbit_per_s` is the VM's total: bits received of operations due in the window, over its length.
    `errors` are by Outcome name, only those that occurred.  `connection_kbit_per_s` are min, mean, max of
    the connections' own rates (bits over time in operations).
    """

    name: str
    host: str
    port: int
    requested: int
    conforming: int
    requests_ok: int
    requests_conforming: int
    ops_per_s: float
    kbit_per_s: float
    response_ms: ResponseTimes
    connection_kbit_per_s: tuple[float, float, float]
    errors: dict[str, int]

    @property
    def all_conforming(self) -> bool:
        """Whether every requested connection conformed."""
        return self.conforming == self.requested


@dataclass(frozen=True, slots=True, kw_only=True)
class IterationResult:
    """One measured window.

    `by_group` is {group name: (ok, bad)}; `lateness_ms` and `service_ms` are percentiles over all targets.
    `checks` decide whether the iteration conforms: share, mix of each class, POST log, errors.
    `complete` is False when the window was cut short.
    """

    index: int
    measured_s: float
    complete: bool
    requested: int
    conforming: int
    ops_per_s: float
    kbit_per_s: float
    requests_ok: int
    requests_conforming: int
    errors: dict[str, int]
    by_kind: dict[str, tuple[int, int]]
    by_group: dict[str, tuple[int, int]]
    response_ms: ResponseTimes
    service_ms: ResponseTimes
    lateness_ms: ResponseTimes
    checks: tuple[Check, ...]
    targets: tuple[TargetResult, ...]

    @property
    def conforms(self) -> bool:
        """Whether every check holds."""
        return all(check.ok for check in self.checks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Whether the generator's own measurements allow a verdict on the servers."""

    checks: tuple[Check, ...]

    @property
    def valid(self) -> bool:
        """Whether every check holds."""
        return all(check.ok for check in self.checks)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """The end of a run.  `median` indexes `iterations`; it is -1 when none was measured.

    `fairness` compares the VMs of the median iteration: Jain's index over their ops/s per requested
    connection and the slowest-over-fastest ratio; None with fewer than two VMs, or when none served anything.
    `reasons` are the sentences behind the verdict, most important first.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    requested_connections: int
    conforming_connections: int
    median: int
    iterations: tuple[IterationResult, ...]
    targets: tuple[TargetResult, ...]
    trust: Trust
    fairness: dict[str, float] | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def exit_code(self) -> ExitCode:
        """What the command exits with."""
        return self.verdict.exit_code
