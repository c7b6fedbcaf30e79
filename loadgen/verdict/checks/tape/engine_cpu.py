"""Did an engine need a whole core, or did it wait for one?"""

from __future__ import annotations

from loadgen.model.units import NS_PER_MS
from loadgen.verdict.checks.tape.worst import worst_of
from loadgen.verdict.evidence import TrustEvidence
from loadgen.verdict.result import Check

ENGINE_CPU, ENGINE_RUNNABLE = "engine CPU", "engine runnable"
"""Names of the checks that fail when an engine was at its own limit."""

_LEAST_NS = 200 * NS_PER_MS
"""Shares are at least of this time: a shorter run is mostly the moment in which its connections open."""

_NOT_REPORTED = "not reported by any engine"


def engine_cpu(evidence: TrustEvidence) -> tuple[Check, Check]:
    """Two checks, each of the worst engine: time on a core, and time on a core or waiting for one.

    Engines whose kernel does not report the waiting time (runqueue_ns is -1) are left out of the second check.
    """
    cpu: dict[str, float] = {}
    runnable: dict[str, float] = {}
    for one in evidence.workers:
        if wall_ns := sum(health.wall_ns for health in one.health):
            cpu[one.worker] = sum(health.cpu_ns for health in one.health) / max(wall_ns, _LEAST_NS)
        told = [health for health in one.health if health.runqueue_ns >= 0]
        if told_ns := sum(health.wall_ns for health in told):
            busy_ns = sum(health.cpu_ns + health.runqueue_ns for health in told)
            runnable[one.worker] = busy_ns / max(told_ns, _LEAST_NS)
    busiest, ran = worst_of(cpu)
    hungriest, wanted = worst_of(runnable)
    return (
        Check.at_most(
            ENGINE_CPU,
            ran,
            evidence.rules.max_cpu_share,
            detail=f"engine {busiest} ran {100 * ran:.1f} % of the time" if busiest else _NOT_REPORTED,
        ),
        Check.at_most(
            ENGINE_RUNNABLE,
            wanted,
            evidence.rules.max_runnable_share,
            detail=f"engine {hungriest} ran or waited for a core {100 * wanted:.1f} % of the time "
            f"(ran {100 * cpu[hungriest]:.1f} %)",
        )
        if hungriest
        else Check.unknown(ENGINE_RUNNABLE, evidence.rules.max_runnable_share, detail=f"not known: {_NOT_REPORTED}"),
    )
