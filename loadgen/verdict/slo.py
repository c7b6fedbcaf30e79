"""Service level objectives such as `p99<50ms`, `errors<0.1%` or `rate>4500/s`: parsed, and judged by measurements."""

from __future__ import annotations

import re
from dataclasses import dataclass

from loadgen.measure.cells import Cell
from loadgen.model.errors import PlanError
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_MS, parse_duration_ns
from loadgen.verdict.result import Check

_SLO = re.compile(r"\s*(p(\d+(?:\.\d+)?)|mean|max|errors|shed|rate)\s*(<=|>=|<|>)\s*(.+?)\s*")
_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*(k?)\s*(?:/s)?")
_HINT = "examples: p99<50ms, mean<5ms, max<2s, errors<0.1%, shed<1%, rate>4500/s"


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
    def parse(cls, text: str) -> Slo:
        """The objective written in `text`.  Raises PlanError if `text` is not an objective."""
        match = _SLO.fullmatch(text)
        problem = PlanError(f"{text!r} is not an objective", hint=_HINT)
        if match is None:
            raise problem
        metric, percentile, relation, limit = match.groups()
        if percentile is not None and not 0 < float(percentile) <= 100:
            raise PlanError(f"{text!r}: percentile {percentile} is not above 0 and at most 100", hint=_HINT)
        if (relation[0] == ">") != (metric == "rate"):
            allowed = "> or >=" if metric == "rate" else "< or <="
            raise PlanError(f"{text!r}: {metric} needs {allowed}", hint=_HINT)
        if metric in ("errors", "shed"):
            share = _SHARE.fullmatch(limit)
            if share is None:
                raise problem
            return cls(metric=metric, relation=relation, limit=float(share[1]), unit="%")
        if metric == "rate":
            rate = _RATE.fullmatch(limit)
            if rate is None:
                raise problem
            return cls(metric=metric, relation=relation, limit=float(rate[1]) * (1000 if rate[2] else 1), unit="/s")
        try:
            limit_ns = parse_duration_ns(limit)
        except PlanError as error:
            raise PlanError(f"{text!r}: {error.message}", hint=error.hint or _HINT) from error
        return cls(metric=metric, relation=relation, limit=limit_ns / NS_PER_MS, unit="ms")

    def judge(self, whole: Cell, measured_s: float) -> Check:
        """Whether the objective holds for the operations in `whole`, a window measured for `measured_s` seconds.

        An objective on times fails when no operation succeeded.
        """
        value, detail = self._measure(whole, measured_s)
        ok = value is not None and _holds(value, self.relation, self.limit)
        return Check(
            name=self.metric,
            value=0.0 if value is None else value,
            limit=self.limit,
            ok=ok,
            unit=self.unit,
            relation=self.relation,
            detail=detail,
        )

    def _measure(self, whole: Cell, measured_s: float) -> tuple[float | None, str]:
        """The value in the unit of the limit (None if unknown), and the subject of the measurement."""
        shed = int(whole.outcomes[Outcome.SHED])
        if self.metric == "rate":
            return (whole.ok / measured_s if measured_s > 0 else None), f"{whole.ok} requests in {measured_s:.4g} s"
        if self.metric == "shed":
            due = whole.issued
            return (100 * shed / due if due else None), f"{shed} of {due} requests that were due"
        if self.metric == "errors":
            bad = whole.bad - shed
            done = whole.ok + bad
            return (100 * bad / done if done else None), f"{bad} of {done} requests"
        response = whole.response
        detail = f"of {response.total} requests"
        if not response.total:
            return None, "no request succeeded"
        if self.metric == "mean":
            value_ns = response.mean_ns
        elif self.metric == "max":
            value_ns = response.max_ns
        else:
            value_ns = response.percentile_ns(float(self.metric[1:]))
        assert value_ns is not None
        return value_ns / NS_PER_MS, detail


def _holds(value: float, relation: str, limit: float) -> bool:
    match relation:
        case "<":
            return value < limit
        case "<=":
            return value <= limit
        case ">":
            return value > limit
    return value >= limit
