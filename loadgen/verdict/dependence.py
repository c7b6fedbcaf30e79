"""Does the verdict of a run depend on its disturbed seconds?  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from loadgen.verdict.disturbance import Dependence, Without
from loadgen.verdict.result import Check, Verdict


def compare(
    verdict: Verdict,
    without: Verdict,
    checks: Sequence[Mapping[str, Check]],
    *,
    has_score: bool,
    trusted: tuple[bool, bool],
) -> tuple[Dependence, Without]:
    """Whether a verdict depends on the disturbed seconds; `without` is the verdict that leaves them out.

    `checks`: those of the run and those of the run without, by name.  `has_score`: the run has one, so that verdicts on
    servers may be told.  `trusted`: whether the load generator passes its checks in the run, and in the run without.
    """
    was, is_trusted = trusted
    if not has_score:
        other = is_trusted and not was  # an incomplete window makes a run INVALID, too
        return Dependence.OTHER if other else Dependence.SAME, Without(verdict=None, trusted=is_trusted)
    whole, rest = checks
    changes = tuple(
        f"{name} {_value(rest[name])} instead of {_value(check)}"
        for name, check in whole.items()
        if name in rest and rest[name].ok != check.ok
    )
    same = without is verdict
    return Dependence.SAME if same else Dependence.OTHER, Without(
        verdict=without.value, trusted=is_trusted, changes=changes
    )


def _value(check: Check) -> str:
    return f"{check.value:.3g}{' ' * (check.unit not in ('', '%'))}{check.unit}"
