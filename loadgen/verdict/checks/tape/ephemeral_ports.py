"""Did a load machine have enough local ports?"""

from __future__ import annotations

from loadgen.verdict.evidence import TrustEvidence
from loadgen.verdict.result import Check


def ephemeral_ports(evidence: TrustEvidence) -> Check | None:
    """Ports in use to one server, open or in TIME_WAIT, on the machine closest to its limit; None when not known."""
    if not evidence.ports:
        return None
    machine, target, used = evidence.ports[0], -1, 0
    for one in evidence.ports:
        for number, connects in one.peak_connects.items():
            if target < 0 or connects * machine.available > used * one.available:
                machine, target, used = one, number, connects
    detail = f"{machine.machine}: no connection was opened"
    if target >= 0:
        detail = f"{machine.machine}: ports in use to {evidence.asked.targets[target].name}, open or in TIME_WAIT"
    return Check(
        name="ephemeral ports", value=used, limit=machine.available, ok=used <= machine.available, detail=detail
    )
