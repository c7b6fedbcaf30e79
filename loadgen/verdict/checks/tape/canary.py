"""Do the engines add more to response times than the measurement can bear?"""

from __future__ import annotations

import math
from collections.abc import Iterator

from loadgen.model.units import NS_PER_MS
from loadgen.verdict.canary import CanaryRow
from loadgen.verdict.checks.tape.send_lateness import lateness_limit_ns
from loadgen.verdict.evidence import Loop, TrustEvidence
from loadgen.verdict.result import Check

CANARY = "canary"
"""The name of the check."""


def canary(evidence: TrustEvidence) -> Check | None:
    """What the canary of the worst engine shows that the client adds; None when the run has no canary.

    The limit follows from what the run measures.  A paced run judges rates, or a bound of a time: what is added may be
    as much as an operation may be late.  Otherwise it may be `max_canary_share` of the measured percentile, and never
    less than a limit that harmless delays keep.  In a closed loop, an engine at full speed works on its other
    connections first, which is part of the measured times, too: there the limit is `max_closed_canary_share`.

    Compared are lower ends of the intervals in which the true percentiles lie, so few requests convict nobody.
    """
    if not evidence.canaries:
        return None
    least = evidence.rules.min_canaries
    known = [one for one in evidence.canaries if one.requests >= least]
    limits_ms = {q: _limit_ns(evidence, q) / NS_PER_MS for q in (50, 99)}
    found = [(low / limits_ms[q], low, q, one) for one in known for q, low in _lows_ms(one)]
    if not found:
        why = next((one.why for one in evidence.canaries if one.why), f"fewer than {least} requests were answered")
        return Check(name=CANARY, value=math.nan, limit=limits_ms[50], ok=True, unit="ms", detail=f"not known: {why}")
    strain, low, q, worst = max(found, key=lambda one: one[0])
    unknown = len(evidence.canaries) - len(known)
    more = f"; not known for {unknown} of {len(evidence.canaries)} engines" if unknown else ""
    return Check(
        name=CANARY,
        value=low,
        limit=limits_ms[q],
        ok=strain <= 1,
        unit="ms",
        detail=f"engine {worst.engine} adds this to percentile {q} at least ({worst.requests:,} requests){more}",
    )


def _lows_ms(one: CanaryRow) -> Iterator[tuple[int, float]]:
    for q, found in ((50, one.added_ms.p50), (99, one.added_ms.p99)):
        if found is not None:
            yield q, found.low


def _limit_ns(evidence: TrustEvidence, q: int) -> float:
    rules = evidence.rules
    if evidence.loop is Loop.PACED:
        return lateness_limit_ns(evidence.asked.bound, rules)
    share = rules.max_canary_share if evidence.loop is Loop.OPEN else rules.max_closed_canary_share
    floor_ns = rules.max_canary_ns if q == 50 else rules.max_open_lateness_ns
    return max(floor_ns, share * (evidence.window.response.percentile_ns(q) or 0))
