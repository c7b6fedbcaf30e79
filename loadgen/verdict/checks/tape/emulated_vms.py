"""Did the servers run on an emulated CPU?"""

from __future__ import annotations

from loadgen.model.emulated import EMULATED, EMULATED_VMS
from loadgen.verdict.evidence import TrustEvidence
from loadgen.verdict.result import Check


def emulated_vms(evidence: TrustEvidence) -> Check | None:
    """The number of VMs without a real CPU; None when there are none, as far as the VM driver knows.

    An emulated CPU is many times slower than a real one, by different factors for different work, and takes the CPU of
    the load generator's machine for that.
    """
    if not evidence.emulated_vms:
        return None
    return Check(name=EMULATED_VMS, value=evidence.emulated_vms, limit=0, ok=False, detail=EMULATED)
