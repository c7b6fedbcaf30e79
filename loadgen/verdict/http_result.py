"""The result of `loadgen http`, with every number behind its verdict; reports only print it."""

from __future__ import annotations

from dataclasses import dataclass

from loadgen.measure import censored
from loadgen.measure.histogram import Histogram
from loadgen.model.errors import ExitCode
from loadgen.model.units import NS_PER_MS
from loadgen.verdict.canary import CanaryRow
from loadgen.verdict.disturbance import Disturbance
from loadgen.verdict.namespace import NamespaceRow
from loadgen.verdict.result import Trust, Verdict
from loadgen.verdict.slo import SloCheck
from loadgen.verdict.span import Span
from loadgen.verdict.tcp_result import TcpRow
from loadgen.verdict.time_shares import TimeShares, is_dead


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Mean, percentiles and maximum in milliseconds; all None when there was no operation."""

    mean: float | None
    p50: float | None
    p90: float | None
    p99: float | None
    p99_9: float | None
    max: float | None

    @classmethod
    def of(cls, histogram: Histogram) -> Times:
        """The times of a histogram of nanoseconds."""

        def ms(value_ns: float | None) -> float | None:
            return None if value_ns is None else value_ns / NS_PER_MS

        return cls(
            mean=ms(histogram.mean_ns),
            p50=ms(histogram.percentile_ns(50)),
            p90=ms(histogram.percentile_ns(90)),
            p99=ms(histogram.percentile_ns(99)),
            p99_9=ms(histogram.percentile_ns(99.9)),
            max=ms(histogram.percentile_ns(100)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeSpans:
    """Mean, percentiles and maximum as intervals; all None when there was no operation."""

    mean: Span | None
    p50: Span | None
    p90: Span | None
    p99: Span | None
    p99_9: Span | None
    max: Span | None

    @classmethod
    def of(cls, times: censored.Times) -> TimeSpans:
        """The intervals of these times."""
        return cls(
            mean=Span.of(times.mean()),
            p50=Span.of(times.percentile(50)),
            p90=Span.of(times.percentile(90)),
            p99=Span.of(times.percentile(99)),
            p99_9=Span.of(times.percentile(99.9)),
            max=Span.of(times.percentile(100)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRow:
    """One target, or all targets together, in the measured window.

    `ok`, `errors` (by Outcome name; only those that occurred) and `cut` add up to `due`: the operations that were due
    in the window; of those that were due before it, in a closed loop all that ended in it or were under way during all
    of it, in an open loop the latter only.  An operation is cut when the run ends before it does.  `unanswered` are the
    cut operations that had waited far longer than any answered one (loadgen.verdict.fates).  `sent`: all requests sent,
    also during the warm-up, to compare with the server's own count.  `per_s` counts ok operations, `mbit_per_s` all
    bytes received.  `response_ms` is done - due and `service_ms` done - sent; failed and cut operations count with
    lower bounds.
    `retries` counts requests that were sent once more, because the server had closed the kept TCP connection.
    `statuses`: the number of whole replies by status code.  `surplus` counts requests after which, or before which on
    the idle connection, the server sent bytes that no request asked for.
    `time` says where the time of the connections went.  `tcp`: its TCP connections at the client's end; None when none
    was seen, and in records of earlier versions.

    In records of version 0.1.0, `due`, `sent`, `unanswered`, `retries` and `time` are None, and the times are those of
    ok operations.  `statuses` and `surplus` are None in records of earlier versions.
    """

    name: str
    connections: int
    ok: int
    errors: dict[str, int]
    cut: int
    per_s: float
    mbit_per_s: float
    response_ms: TimeSpans
    service_ms: TimeSpans
    due: int | None = None
    sent: int | None = None
    unanswered: int | None = None
    retries: int | None = None
    time: TimeShares | None = None
    statuses: dict[int, int] | None = None
    surplus: int | None = None
    tcp: TcpRow | None = None

    @property
    def dead(self) -> bool | None:
        """Whether the target is dead (loadgen.verdict.time_shares); None when not known."""
        return is_dead(self.time, 1e6 * self.mbit_per_s / 8 / max(self.connections, 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRow:
    """The numbers of good (`ok`) and failed (`bad`) operations of one request of the plan."""

    name: str
    ok: int
    bad: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshakes:
    """The completed TLS handshakes of a run, those of the warm-up included: `full` ones, and `resumed` ones."""

    full: int
    resumed: int

    @property
    def resumed_share(self) -> float:
        """The share of the resumed ones, 0 to 1; 0 without any handshake."""
        return self.resumed / max(self.full + self.resumed, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRow:
    """One stage of the run: the operations that were due in it, whenever they ended.

    `number`: its place in the plan, from 1.  `stage`: as the user writes it.  `begins_s`: after the start of the
    window.  `measured_s`: how much of its length was played, and `asked_per_s` the mean rate over that.  `ok`, `errors`
    (by Outcome name) and `cut` add up to `due`; over all stages, each of them adds up to that of the run, as do the
    `unanswered` ones among the cut.  `per_s` counts ok operations.  `response_ms` as in HttpRow.  `slos`: the
    objectives of times and shares, judged for the stage alone; they have no effect on the verdict.
    """

    number: int
    stage: str
    begins_s: float
    measured_s: float
    asked_per_s: float
    due: int
    ok: int
    errors: dict[str, int]
    cut: int
    unanswered: int
    per_s: float
    response_ms: TimeSpans
    slos: tuple[SloCheck, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResult:
    """The result of `loadgen http`.

    `reasons`: the sentences behind the verdict, most important first.  `sent`: all requests sent, also during the
    warm-up, to compare with the servers' own counts.  `lateness_ms`: sent - due of sent operations; in an open loop,
    the wait for a connection and for the load generator.  `slos`: the objectives; empty when a trust check failed, or
    when the window is missing without a lost worker.  Without any objective, CONFORMING only means that the measurement
    is valid.  `disturbance`: the disturbed seconds; None when no second was watched, and in records of earlier
    versions.  `canary` has a row for each engine; () for a run without canaries.  `handshakes`: None when no TLS
    handshake was completed, and in records of earlier versions.  `stages`: in a run with stages, a row for each that
    has a length.  `stopped_early` says why the run was stopped before its planned end; "" when it was not.
    `namespaces`: what the kernels of the load machines counted in the window; () in records of earlier versions.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    measured_s: float
    sent: int
    total: HttpRow
    targets: tuple[HttpRow, ...]
    requests: tuple[RequestRow, ...]
    lateness_ms: Times
    slos: tuple[SloCheck, ...]
    trust: Trust
    notes: tuple[str, ...] = ()
    disturbance: Disturbance | None = None
    canary: tuple[CanaryRow, ...] = ()
    handshakes: Handshakes | None = None
    stages: tuple[StageRow, ...] = ()
    stopped_early: str = ""
    namespaces: tuple[NamespaceRow, ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the command."""
        return self.verdict.exit_code
