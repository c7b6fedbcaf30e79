"""Did every test enter the proxy's host by one NIC and leave it by another?"""

from __future__ import annotations

from loadgen.model.units import format_window
from loadgen.verdict.network_evidence import ForwardEvidence
from loadgen.verdict.network_result import NicProof
from loadgen.verdict.result import Check


def nic_path(evidence: ForwardEvidence) -> Check | None:
    """The number of tests without the proof that they crossed two NICs; None when no test needs a proof."""
    if not evidence.proofs:
        return None
    bad = [proof for proof in evidence.proofs if not proof.ok]
    return Check(
        name="tests past a NIC",
        value=len(bad),
        limit=0,
        ok=not bad,
        detail=_bypassed(bad[0]) if bad else "every test entered by one NIC and left by another",
    )


def _bypassed(proof: NicProof) -> str:
    name = f"{proof.link.value} {proof.mode.value} {format_window(proof.window_bytes)}"
    counted = [
        f"{what} {nic} {size:,}"
        for what, nic, size in (("in at", proof.rx_nic, proof.rx_bytes), ("out at", proof.tx_nic, proof.tx_bytes))
        if nic
    ]
    seen = f"the NICs counted only {', '.join(counted)}" if counted else "there is no NIC"
    return f"{name}: {proof.payload_bytes:,} bytes arrived, but {seen}; the route bypasses a NIC"
