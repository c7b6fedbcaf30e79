"""Which share of a closed loop's cycle is the load generator's own?"""

from __future__ import annotations

from loadgen.verdict.evidence import Loop, TrustEvidence, WorkerEvidence
from loadgen.verdict.result import Check


def client_share(evidence: TrustEvidence) -> Check | None:
    """The share of connection time between due and sent, of the worst engine; only for a closed loop.

    In a closed loop a request is due when the reply before it has arrived, so a client that sends it later lowers the
    rate: by this share at most, and by less if the servers had other connections to answer meanwhile.  While an engine
    works on one connection, the others wait, so the share may be as large as the engine's CPU share, which has a limit
    of its own.  What exceeds it was no work: something kept the engine from its core.
    """
    if evidence.loop is not Loop.CLOSED:
        return None
    shares = {
        one.worker: (_late_share(one), _cpu_share(one))
        for one in evidence.workers
        if one.connections and one.judged_ns and one.health
    }
    if not shares:
        return None
    worker = max(shares, key=lambda name: shares[name][0] - shares[name][1])
    late, worked = shares[worker]
    return Check.at_most(
        "client's share",
        late,
        min(1.0, worked + evidence.rules.max_idle_lateness),
        detail=f"engine {worker}: share of its connections' time between due and sent, by which the rate is too low at "
        f"most; it worked {100 * worked:.1f} % of the time",
    )


def _late_share(one: WorkerEvidence) -> float:
    return one.lateness.sum_ns() / (one.connections * one.judged_ns)


def _cpu_share(one: WorkerEvidence) -> float:
    return sum(health.cpu_ns for health in one.health) / max(1, sum(health.wall_ns for health in one.health))
