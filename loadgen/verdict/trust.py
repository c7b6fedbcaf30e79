"""Can the load generator of a tape run be trusted?  Without trust, nothing is said about the servers.

A slow server must not convict the load generator.  Lateness is sent - due, and in a closed loop an operation is due
only when the one before it has ended, so a slow server delays both.  The mix is that of the requests *issued*.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping

from loadgen.verdict.checks.catalog import TAPE_CHECKS, Found, run_checks
from loadgen.verdict.evidence import TrustEvidence
from loadgen.verdict.result import Check, Trust


def judge_trust(evidence: TrustEvidence, checks: Iterable[Callable[[TrustEvidence], Found]] = TAPE_CHECKS) -> Trust:
    """The results of all `checks` that apply to the run, in their order; each `detail` names the worst engine."""
    return run_checks(evidence, checks)


def worst_of_windows(windows: Mapping[int, Trust]) -> Trust:
    """The trust in a run from the trust in each of its windows, by iteration: each check as in its worst window.

    Sums over all windows would let quiet windows hide a disturbed one.  The `detail` names the iteration when the
    windows differ.
    """
    by_name: dict[str, dict[int, Check]] = {}
    for window, trust in sorted(windows.items()):
        for check in trust.checks:
            by_name.setdefault(check.name, {})[window] = check
    return Trust(checks=tuple(_worst(found) for found in by_name.values()))


def _worst(by_window: Mapping[int, Check]) -> Check:
    window = max(by_window, key=lambda number: (not by_window[number].ok, _strain(by_window[number])))
    worst = by_window[window]
    if not worst.known or all(check == worst for check in by_window.values()):
        return worst
    return dataclasses.replace(worst, detail=f"iteration {window + 1}, {worst.detail}")


def _strain(check: Check) -> float:
    """The ratio of the value to its limit, inverted for lower limits: the larger, the worse; -1 for unknown values."""
    if not check.known:
        return -1.0
    value, limit = (check.value, check.limit) if check.relation.startswith("<") else (check.limit, check.value)
    return value / limit if limit else math.inf * value if value else 0.0
