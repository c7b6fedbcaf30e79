"""Does the time of each connection add up to the window?"""

from __future__ import annotations

from loadgen.verdict.checks.tape.worst import worst_of
from loadgen.verdict.evidence import Loop, TrustEvidence
from loadgen.verdict.result import Check

_DIGITS = 6  # a share below 0.0001 % is 0: of an operation that was due when the segment ended


def time_accounted(evidence: TrustEvidence) -> Check | None:
    """The share of connection time that is no part of any operation, of the worst engine; not for an open loop.

    In a closed or paced loop each moment of a connection is lateness, service, pacing or rest, in operations that ended
    well or failed, whatever the servers do.  If none of these has it, the engine did not play: it was stopped, its
    lease had expired, or connections were never started.  Lost workers are not judged here: the result names them.
    """
    if evidence.loop is Loop.OPEN:
        return None
    shares = {one.worker: one.unaccounted_share for one in evidence.workers if one.unaccounted_share is not None}
    if not shares:
        return None
    worker, share = worst_of(shares)
    return Check.at_most(
        "time unaccounted for",
        round(share, _DIGITS),
        evidence.rules.max_unaccounted_share,
        detail=f"engine {worker}: share of its connections' time in which they had no operation",
    )
