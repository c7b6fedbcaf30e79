"""Judges a run again without its disturbed seconds, to see whether its verdict depends on them.  Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from coordinator.run.evidence import TapeEvidence
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
) -> Disturbance | None:
    """What disturbed the run with this result; None when no second of a measured window was watched.

    `judge` judges the evidence; it is called for the evidence without the disturbed seconds.  `checks` returns the
    checks of a result by name, those of the servers and those of the load generator.
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


def _undecided(whole: Trust, rest: Trust) -> tuple[str, ...]:
    """The failed checks of the whole run that are not known for the rest of it, such as the canary's."""
    known = {check.name for check in rest.checks if check.known}
    return tuple(check.name for check in whole.checks if not check.ok and check.name not in known)
