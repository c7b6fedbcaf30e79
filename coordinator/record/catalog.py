"""Every kind of record.  A new kind of run is one more entry here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from coordinator.record.kinds import (
    KIND_FORWARD,
    KIND_HTTP,
    KIND_HTTP_COMPARE,
    KIND_HTTP_FIND,
    KIND_HTTP_HEADROOM,
    KIND_HTTP_REPEATS,
    KIND_IPERF,
    KIND_ISOLATE,
    KIND_PACK,
    KIND_PAPER,
    KIND_RELATIVE,
    KIND_ROUND,
    KIND_SPEC,
    KIND_SPEC_COMPARE,
    KIND_SPEC_FIND,
    KIND_SPEC_HEADROOM,
    KIND_SPEC_REPEATS,
    KIND_SWEEP,
)
from loadgen.model.entry import Imported

if TYPE_CHECKING:
    from coordinator.record.kind import RecordKind

KINDS: Mapping[str, RecordKind[Any, Any]] = Imported(
    {
        KIND_SPEC: "coordinator.record.spec:SPEC",
        KIND_SWEEP: "coordinator.record.sweep:SWEEP",
        KIND_HTTP: "coordinator.record.http:HTTP",
        KIND_IPERF: "coordinator.record.iperf:IPERF",
        KIND_FORWARD: "coordinator.record.forward:FORWARD",
        KIND_PACK: "coordinator.record.pack:PACK",
        KIND_SPEC_FIND: "coordinator.record.find:SPEC_FIND",
        KIND_HTTP_FIND: "coordinator.record.find:HTTP_FIND",
        KIND_SPEC_REPEATS: "coordinator.record.repeats:SPEC_REPEATS",
        KIND_HTTP_REPEATS: "coordinator.record.repeats:HTTP_REPEATS",
        KIND_SPEC_COMPARE: "coordinator.record.interleaved:SPEC_COMPARE",
        KIND_HTTP_COMPARE: "coordinator.record.interleaved:HTTP_COMPARE",
        KIND_SPEC_HEADROOM: "coordinator.record.headroom:SPEC_HEADROOM",
        KIND_HTTP_HEADROOM: "coordinator.record.headroom:HTTP_HEADROOM",
        KIND_ISOLATE: "coordinator.record.isolate:ISOLATE",
        KIND_PAPER: "coordinator.record.paper:PAPER",
        KIND_RELATIVE: "coordinator.record.relative:RELATIVE",
        KIND_ROUND: "coordinator.record.relative:ROUND",
    }
)
"""By the `kind` of a document.  A run needs one of them, and importing all takes as long as half of numpy."""
