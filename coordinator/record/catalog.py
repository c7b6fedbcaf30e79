"""Every kind of record.  A new kind of run is one more entry here."""

from __future__ import annotations

from typing import Any

from coordinator.record.find import HTTP_FIND, SPEC_FIND
from coordinator.record.forward import FORWARD
from coordinator.record.header import (
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
from coordinator.record.headroom import HTTP_HEADROOM, SPEC_HEADROOM
from coordinator.record.http import HTTP
from coordinator.record.interleaved import HTTP_COMPARE, SPEC_COMPARE
from coordinator.record.iperf import IPERF
from coordinator.record.isolate import ISOLATE
from coordinator.record.kind import RecordKind
from coordinator.record.pack import PACK
from coordinator.record.paper import PAPER
from coordinator.record.relative import RELATIVE, ROUND
from coordinator.record.repeats import HTTP_REPEATS, SPEC_REPEATS
from coordinator.record.spec import SPEC
from coordinator.record.sweep import SWEEP

KINDS: dict[str, RecordKind[Any, Any]] = {
    KIND_SPEC: SPEC,
    KIND_SWEEP: SWEEP,
    KIND_HTTP: HTTP,
    KIND_IPERF: IPERF,
    KIND_FORWARD: FORWARD,
    KIND_PACK: PACK,
    KIND_SPEC_FIND: SPEC_FIND,
    KIND_HTTP_FIND: HTTP_FIND,
    KIND_SPEC_REPEATS: SPEC_REPEATS,
    KIND_HTTP_REPEATS: HTTP_REPEATS,
    KIND_SPEC_COMPARE: SPEC_COMPARE,
    KIND_HTTP_COMPARE: HTTP_COMPARE,
    KIND_SPEC_HEADROOM: SPEC_HEADROOM,
    KIND_HTTP_HEADROOM: HTTP_HEADROOM,
    KIND_ISOLATE: ISOLATE,
    KIND_PAPER: PAPER,
    KIND_RELATIVE: RELATIVE,
    KIND_ROUND: ROUND,
}
"""By the `kind` of a document."""
