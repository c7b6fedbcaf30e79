"""Reading the record of a network run again: finished, or cut by SIGKILL in the middle of a write."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coordinator.record.document import UNFINISHED
from coordinator.record.network import (
    NetworkHeader,
    forward_from_document,
    forward_header_of,
    iperf_from_document,
    iperf_header_of,
)
from coordinator.record.reader import Frames, damage
from coordinator.record.writer import INTERVALS
from loadgen.measure.forwarding import Passage
from loadgen.measure.throughput import ProbeResult
from loadgen.model.plain import from_plain
from loadgen.model.probe import ForwardPlan, IperfPlan
from loadgen.verdict.network import judge_forward, judge_iperf
from loadgen.verdict.network_result import ForwardResult, IperfResult

_NOT_KNOWN = (0.0, "")  # who else used the cores is written at the end only


def read_iperf(file: Path, document: Mapping[str, Any]) -> tuple[NetworkHeader[IperfPlan], IperfResult, str]:
    """What `document`, the run.json at `file`, says; of an unfinished run, what its tests up to then say.

    The sentence says how a run ended that did not write its end; it is empty otherwise.  Raises RecordError.
    """
    with damage(file):
        header = iperf_header_of(document)
        if document["verdict"] != UNFINISHED:
            return header, iperf_from_document(document), ""
    kept = Frames(file.parent / INTERVALS, lambda plain: (from_plain(ProbeResult, plain),))
    result = judge_iperf(header.plan, list(kept), others=_NOT_KNOWN, interrupted=True)
    return header, result, kept.how_it_ended()


def read_forward(file: Path, document: Mapping[str, Any]) -> tuple[NetworkHeader[ForwardPlan], ForwardResult, str]:
    """As :func:`read_iperf`."""
    with damage(file):
        header = forward_header_of(document)
        if document["verdict"] != UNFINISHED:
            return header, forward_from_document(document), ""
    kept = Frames(file.parent / INTERVALS, lambda plain: (from_plain(Passage, plain),))
    result = judge_forward(header.plan, list(kept), others=_NOT_KNOWN, interrupted=True)
    return header, result, kept.how_it_ended()
