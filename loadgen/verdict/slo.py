"""Service level objectives such as `p99<50ms`, `errors<0.1%` or `rate>4500/s`: parsed, and judged by measurements."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from loadgen.measure import censored
from loadgen.model.errors import PlanError
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_MS, NS_PER_S, number, parse_duration_ns, parse_number, parse_per_s
from loadgen.verdict.fates import Fates
from loadgen.verdict.result import Check

_SLO = re.compile(r"\s*(p\(?([0-9]+(?:\.[0-9]+)?)\)?|mean|max|errors|shed|rate)\s*(<=|>=|<|>)\s*(.+?)\s*")
_SHARE = re.compile(r"([0-9.]+(?:[eE][+-]?[0-9]+)?)\s*(%?)")
_CLOSE = 1.05  # ends of an interval within this ratio are written as one number, the high one
_HINT = "examples: p99<50ms, mean<5ms, max<2s, errors<0.1%, shed<1%, rate>4500/s"


@dataclass(frozen=True, slots=True, kw_only=True)
class SloCheck(Check):
    """An objective with what was measured.  `at_least`: `value` is only a lower bound, and nothing bounds it above."""

    at_least: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Slo:
    """One objective: `metric` is `pN`, mean, max, errors, shed or rate.

    `limit` is in ms for response times (done - due), in % for shares, and per second for the rate; `unit` names it.
    """

    metric: str
    relation: str
    limit: float
    unit: str

    @classmethod
    def parse(cls, text: str, *, bare: bool = False) -> Slo:
        """The objective written in `text`.  Raises PlanError if `text` is not an objective.

        `bare`: a time without a unit is in seconds, as in records of older versions; otherwise it is refused, because
        k6 and others mean milliseconds.
        """
        match = _SLO.fullmatch(text)
        if match is None:
            raise PlanError(f"{text!r} is not an objective", hint=_HINT)
        metric, percentile, relation, limit = match.groups()
        if percentile is not None:
            metric = f"p{percentile}"
            if not 0 < float(percentile) <= 100:
                raise PlanError(f"{text!r}: percentile {percentile} is not above 0 and at most 100", hint=_HINT)
        if (relation[0] == ">") != (metric == "rate"):
            allowed = "> or >=" if metric == "rate" else "< or <="
            raise PlanError(f"{text!r}: {metric} needs {allowed}", hint=_HINT)
        if metric in ("errors", "shed"):
            return cls(metric=metric, relation=relation, limit=_percent(text, f"{metric}{relation}", limit), unit="%")
        try:
            if metric == "rate":
                return cls(metric=metric, relation=relation, limit=parse_per_s(limit, zero=True), unit="/s")
            limit_ns = parse_duration_ns(limit, bare=bare)
        except PlanError as error:
            raise PlanError(f"{text!r}: {error.message}", hint=error.hint or _HINT) from error
        return cls(metric=metric, relation=relation, limit=limit_ns / NS_PER_MS, unit="ms")

    def judge(self, window: Fates, measured_s: float, *, closed_connections: int = 0) -> SloCheck:
        """Whether the objective holds for the operations in `window`, which was measured for `measured_s` seconds.

        A time objective must hold for every value that the time can have: it is judged by the high end of the interval,
        and is missed when there is none.  Failed and unanswered operations are errors.  In a closed loop, of
        `closed_connections`, the share of errors is at least the share of the connections' time in unanswered
        operations: a connection that hangs would otherwise count as a single operation.
        """
        value, at_least, detail = self._measure(window, measured_s, closed_connections)
        ok = value is not None and not at_least and _holds(value, self.relation, self.limit)
        return SloCheck(
            name=self.metric,
            value=math.nan if value is None else value,
            limit=self.limit,
            ok=ok,
            unit=self.unit,
            relation=self.relation,
            detail=detail,
            at_least=at_least,
        )

    def _measure(self, window: Fates, measured_s: float, closed_connections: int) -> tuple[float | None, bool, str]:
        """The value in the unit of the limit (None if unknown), whether it is a lower bound, and its detail."""
        whole = window.cell
        shed = int(whole.outcomes[Outcome.SHED])
        if self.metric == "rate":
            value = whole.ok / measured_s if measured_s > 0 else None
            return value, False, f"{whole.ok:,} requests in {number(measured_s)} s"
        if self.metric == "shed":
            due = whole.issued
            return (100 * shed / due if due else None), False, f"{shed:,} of {due:,} requests that were due"
        if self.metric == "errors":
            return self._errors(window, whole.bad - shed, measured_s, closed_connections)
        if not whole.ok:
            return None, False, "no request succeeded"
        times = censored.Times.response_of(whole)
        q = self.percentile_of(self.metric)
        span = times.mean() if q is None else times.percentile(q)
        assert span is not None
        detail = f"of {times.total:,} requests"
        if math.isfinite(span.high):
            low, high = span.low / NS_PER_MS, span.high / NS_PER_MS
            if high > _CLOSE * low:
                missing = times.failed.total + times.cut.total
                how = "failed or have no reply" if times.failed.total else "have no reply"
                detail += f"; it lies between {number(low)} and {number(high)} ms, because {missing:,} of them {how}"
            return high, False, detail
        without = ", ".join(
            f"{count:,} {what}" for count, what in ((times.failed.total, "failed"), (times.cut.total, "cut")) if count
        )
        return span.low / NS_PER_MS, True, f"{detail}, {without}: their times have no upper bound"

    @staticmethod
    def percentile_of(metric: str) -> float | None:
        """The percentile that a metric of time is; None for the mean."""
        return None if metric == "mean" else 100.0 if metric == "max" else float(metric[1:])

    @staticmethod
    def _errors(window: Fates, bad: int, measured_s: float, closed_connections: int) -> tuple[float | None, bool, str]:
        unanswered = window.unanswered.total
        wrong, done = bad + unanswered, window.cell.ok + bad + unanswered
        if not done:
            return None, False, "no request ended"
        detail = f"{wrong:,} of {done:,} requests" + (f", {unanswered:,} of them unanswered" if unanswered else "")
        share = wrong / done
        silent = window.silent_share(closed_connections, round(measured_s * NS_PER_S))
        if silent <= share:
            return 100 * share, False, detail
        return 100 * silent, False, f"share of the connections' time in unanswered requests; {detail}"


def _percent(text: str, left: str, limit: str) -> float:
    """The percentage in `limit`, which `text` has right of `left`.  Raises PlanError."""
    match = _SHARE.fullmatch(limit)
    try:
        value = float(parse_number(match[1], text, "objective")) if match else None
    except ArithmeticError:  # like 1.2.3
        value = None
    if match is None or value is None:
        raise PlanError(f"{text!r} is not an objective", hint=_HINT)
    if value and not match[2]:
        raise PlanError(
            f"{text!r}: {limit} has no unit", hint=f"write {left}{100 * value:g}% for that share, or {left}{limit}%"
        )
    return value


def _holds(value: float, relation: str, limit: float) -> bool:
    match relation:
        case "<":
            return value < limit
        case "<=":
            return value <= limit
        case ">":
            return value > limit
    return value >= limit
