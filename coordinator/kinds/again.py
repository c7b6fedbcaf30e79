"""Judges a run again without its disturbed seconds, to see whether its verdict depends on them.  Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

import numpy as np

from coordinator.run.evidence import TapeEvidence, TapeMeasured
from loadgen.measure.tally import operations_of
from loadgen.model.units import NS_PER_S
from loadgen.verdict.dependence import compare
from loadgen.verdict.disturbance import Dependence, Disturbance, spans_of
from loadgen.verdict.result import Check, Trust, Verdict

_LEAST_NS = NS_PER_S // 2  # a shorter rest of a window says nothing


class _Result(Protocol):
    @property
    def verdict(self) -> Verdict: ...

    @property
    def trust(self) -> Trust: ...


R = TypeVar("R", bound=_Result)


def disturbance_of(
    result: R,
    evidence: TapeEvidence,
    judge: Callable[[TapeEvidence], R],
    checks: Callable[[R], Mapping[str, Check]],
    *,
    each_counts: bool = False,
) -> Disturbance | None:
    """What disturbed the run with this result; None when no second of a measured window was watched.

    `judge` judges the evidence; it is called for the evidence without the disturbed seconds.  `checks` returns the
    checks of a result by name, those of the servers and those of the load generator.  `each_counts`: a connection
    without any operation does not conform.  Then the rest of the run cannot be judged when a connection has its few
    operations in the disturbed seconds.
    """
    measured = evidence.measured
    found = measured.intake.disturbances
    found.decide_all()
    measured_s, disturbed_s = found.counted
    if not measured_s:
        return None
    said = Disturbance(
        measured_s=measured_s,
        disturbed_s=disturbed_s,
        left_out_s=sum(found.left_out_ns(window) for window in measured.measured_ns) / NS_PER_S,
        machines=found.machines,
        spans=spans_of(found.causes),
        dependence=Dependence.NOT_KNOWN if disturbed_s else Dependence.NONE,
    )
    rest_ns = {window: max(0, ns - found.left_out_ns(window)) for window, ns in measured.measured_ns.items()}
    judged = measured.complete or measured.measured_ns.keys()
    if not disturbed_s or not found.left_out or any(rest_ns[window] < _LEAST_NS for window in judged):
        return said
    rest = dataclasses.replace(measured, measured_ns=rest_ns, left_out=found.left_out)
    if each_counts and any(_heard(rest, window) < _heard(measured, window) for window in judged):
        return said
    without = judge(dataclasses.replace(evidence, measured=rest))
    if without.trust.valid and (undecided := _undecided(result.trust, without.trust)):
        return dataclasses.replace(said, undecided=undecided)
    dependence, again = compare(
        result.verdict,
        without.verdict,
        (checks(result), checks(without)),
        has_score=result.verdict is not Verdict.INVALID and result.trust.valid,
        trusted=(result.trust.valid, without.trust.valid),
    )
    return dataclasses.replace(said, dependence=dependence, without=again)


def _heard(measured: TapeMeasured, window: int) -> int:
    """The number of connections with an operation in the window."""
    return int(np.count_nonzero(operations_of(measured.totals.window_tallies(window))))


def _undecided(whole: Trust, rest: Trust) -> tuple[str, ...]:
    """The failed checks of the whole run that are not known for the rest of it, such as the canary's."""
    known = {check.name for check in rest.checks if check.known}
    return tuple(check.name for check in whole.checks if not check.ok and check.name not in known)
