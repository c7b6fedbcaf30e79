"""Can the load generator of a tape run be trusted?  Without trust, nothing is said about the servers.

A slow server must not convict the load generator.  Lateness is sent - due, and in a closed loop an operation is due
only when the one before it has ended, so a slow server delays both.  The mix is that of the requests *issued*.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from loadgen.verdict.checks.catalog import TAPE_CHECKS, Found, run_checks
from loadgen.verdict.evidence import TrustEvidence
from loadgen.verdict.result import Trust


def judge_trust(evidence: TrustEvidence, checks: Iterable[Callable[[TrustEvidence], Found]] = TAPE_CHECKS) -> Trust:
    """The results of all `checks` that apply to the run, in their order; each `detail` names the worst engine."""
    return run_checks(evidence, checks)
