"""Did the engines issue the intended mix of classes?"""

from __future__ import annotations

from collections.abc import Sequence

from loadgen.verdict.evidence import Loop, TrustEvidence
from loadgen.verdict.mix import check_mix
from loadgen.verdict.result import Check


def mix_issued(evidence: TrustEvidence) -> Sequence[Check] | None:
    """One check per class, over the whole run; only for a paced loop.

    Over whole segments the mix does not depend on the speed of the servers.  A single window does: a slow server
    crosses it in a few long requests, so the window holds more of the long classes.
    """
    if evidence.loop is not Loop.PACED:
        return None
    asked = evidence.asked
    return check_mix(
        asked.mixed(evidence.whole.counts), asked.kinds, asked.kind_shares, evidence.rules, what="mix issued"
    )
