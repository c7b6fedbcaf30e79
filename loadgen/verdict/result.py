"""The result of a run, with every number behind its verdict; reports only print it."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field

from loadgen.model.errors import ExitCode
from loadgen.verdict.canary import CanaryRow
from loadgen.verdict.disturbance import Disturbance
from loadgen.verdict.fair_result import Fairness
from loadgen.verdict.margin import Margin
from loadgen.verdict.namespace import NamespaceRow
from loadgen.verdict.span import PercentileSpans
from loadgen.verdict.tcp_result import TcpRow
from loadgen.verdict.time_shares import TimeShares, is_dead
from loadgen.verdict.vm_counters import VmCounters


class Verdict(enum.Enum):
    """The verdict of a run (DESIGN.md, "Verdicts")."""

    CONFORMING = "conforming"  # the servers meet the rules; VALID in reports of runs without such rules
    NOT_CONFORMING = "not conforming"  # the servers do not meet the rules
    INVALID = "INVALID"  # the measurement cannot be trusted: nothing is said about the servers
    DEGRADED = "DEGRADED"  # a load machine or an engine was lost
    INTERRUPTED = "interrupted"  # stopped by the user: the measurements are shown, but the run is not judged as a whole

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the command."""
        return ExitCode[self.name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One named comparison of a measured value with a limit.

    `unit`: of value and limit.  `relation`: "<=", "<", ">=" or ">"; `ok` means that `value relation limit` holds.
    A value that could not be measured is NaN, and then `ok` is True.  `detail`: what was compared, and who was worst.
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
        """A check that `share` is at most `limit`; both are given as 0..1 and stored in percent."""
        return cls(name=name, value=100 * share, limit=100 * limit, ok=share <= limit, unit="%", detail=detail)

    @classmethod
    def unknown(cls, name: str, limit: float, *, detail: str) -> Check:
        """A check like that of :meth:`at_most` whose share could not be measured: it convicts nobody."""
        return cls(name=name, value=math.nan, limit=100 * limit, ok=True, unit="%", detail=detail)

    @property
    def known(self) -> bool:
        """Whether the value was measured."""
        return not math.isnan(self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Whether the load generator's own measurements allow a verdict on the servers."""

    checks: tuple[Check, ...]

    @property
    def valid(self) -> bool:
        """Whether every trust check passed."""
        return all(check.ok for check in self.checks)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseTimes:
    """Percentiles of a time in milliseconds; all None when there was no operation."""

    p50: float | None
    p90: float | None
    p99: float | None
    max: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetResult:
    """One VM in one iteration (or, in RunResult.targets, in the median iteration).

    `kbit_per_s`: bits received in operations due in the window, divided by the length of the window.  `errors`: by
    Outcome name, only those that occurred.  `cut`: operations that were under way when the traffic stopped; with
    `requests_ok` and the errors they are all operations that were due in the window, or due before it and under way
    during all of it.  `response_ms`: done - due; failed and cut operations count with lower bounds.
    `connection_kbit_per_s`: minimum, mean and maximum of the connections' own rates (bits over time in operations).
    `conforming` and `requests_conforming` are None in a run that has no score.  `dead_share`: share (0..1) of its
    connections' time in the window that was lost: in time-outs and other failures, in the rests after them, and in
    connections that did not play.  `time`: where all of its connections' time went; with it, `dead` says whether
    the VM answered next to nothing.  `statuses`: the number of whole replies by status code, None in records of earlier
    versions.  In records of version 0.1.0, `dead_share`, `cut` and `time` are None, too, and the times are those of ok
    operations.  `counters`: what the kernel counted for the VM; None where it is not on this machine, and in records of
    earlier versions.  `tcp`: its TCP connections at the client's end; None when none was seen, and in records of
    earlier versions.
    """

    name: str
    host: str
    port: int
    requested: int
    conforming: int | None
    requests_ok: int
    requests_conforming: int | None
    ops_per_s: float
    kbit_per_s: float
    response_ms: PercentileSpans
    connection_kbit_per_s: tuple[float, float, float]
    errors: dict[str, int]
    dead_share: float | None = None
    cut: int | None = None
    time: TimeShares | None = None
    statuses: dict[int, int] | None = None
    counters: VmCounters | None = None
    tcp: TcpRow | None = None

    @property
    def dead(self) -> bool | None:
        """Whether the VM is dead (loadgen.verdict.time_shares); None when not known."""
        kbit_per_s = self.kbit_per_s / max(self.requested, 1)
        if self.time is not None:
            # One reply may fill the window: it was due before, and its bits are only in the rates of the connections.
            within = self.time.service + self.time.pacing + self.time.unfinished
            kbit_per_s = max(kbit_per_s, within * self.connection_kbit_per_s[1])
        return is_dead(self.time, 1000 * kbit_per_s / 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class IterationResult:
    """One measured window.

    `by_kind` and `by_group`: {name: (ok, bad)}.  `response_ms` (done - due), `service_ms` (done - sent) and
    `lateness_ms` (sent - due): over all targets.  `time`: that of all connections.  `cut` and the lower bounds in
    the times: see TargetResult.
    `checks` decide whether the iteration conforms: conforming share, errors, mix of each class, POST log.  `complete`:
    False when the window was cut short.  `trust`: the checks of the load generator in this window; None in records of
    earlier versions.  `fairness`: see :func:`loadgen.verdict.fairness.fairness`; None with fewer than two VMs, or when
    no VM served anything.  `tcp`: as in TargetResult, of all targets.  `namespaces`: what the kernels
    of the load machines counted; () in records of earlier versions.  In a run that has no score,
    `conforming`, `requests_conforming` and `fairness` are None and `checks` is empty.
    """

    index: int
    measured_s: float
    complete: bool
    requested: int
    conforming: int | None
    ops_per_s: float
    kbit_per_s: float
    requests_ok: int
    requests_conforming: int | None
    errors: dict[str, int]
    by_kind: dict[str, tuple[int, int]]
    by_group: dict[str, tuple[int, int]]
    response_ms: PercentileSpans
    service_ms: PercentileSpans
    lateness_ms: ResponseTimes
    checks: tuple[Check, ...]
    targets: tuple[TargetResult, ...]
    trust: Trust | None = None
    fairness: dict[str, float | None] | None = None
    time: TimeShares | None = None
    cut: int | None = None
    tcp: TcpRow | None = None
    namespaces: tuple[NamespaceRow, ...] = ()

    @property
    def conforms(self) -> bool | None:
        """Whether every check of the iteration passed; None in a run that has no score."""
        return None if self.conforming is None else all(check.ok for check in self.checks)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """The result of a `loadgen spec` run.

    `reasons`: the sentences behind the verdict, most important first.  `median`: index of the median iteration in
    `iterations`; -1 when none was measured.  `targets`: those of the median iteration.  `fairness`: over all complete
    iterations; in records of earlier versions that of the median one.  A run that has no score has neither
    `conforming_connections` nor `fairness` (see :attr:`has_score`) nor `margin`.  `margin` is also None without a
    complete iteration, and in records of earlier versions.  `disturbance`: the disturbed seconds; None when no second
    was watched, and in records of earlier versions.
    `canary` has a row for each engine and window; () for a run without canaries.  `stopped_early` says why the run was
    stopped before its planned end; "" when it was not.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    requested_connections: int
    conforming_connections: int | None
    median: int
    iterations: tuple[IterationResult, ...]
    targets: tuple[TargetResult, ...]
    trust: Trust
    fairness: Fairness | None = None
    margin: Margin | None = None
    notes: tuple[str, ...] = field(default=())
    disturbance: Disturbance | None = None
    canary: tuple[CanaryRow, ...] = ()
    stopped_early: str = ""

    @property
    def has_score(self) -> bool:
        """Whether anything may be said about the servers: not in an INVALID run, nor when a trust check failed."""
        return self.verdict is not Verdict.INVALID and self.trust.valid

    @property
    def is_comparable(self) -> bool:
        """Whether its score may stand beside those of other runs: a whole window of the whole load was measured."""
        whole = bool(self.targets) and self.median >= 0 and self.iterations[self.median].complete
        return whole and self.has_score and self.verdict is not Verdict.DEGRADED

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the command."""
        return self.verdict.exit_code
