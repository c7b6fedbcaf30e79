"""Which plots each kind of record has.  A new kind has the tables of its text report without an entry here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from coordinator.output.html.blocks import Block
from coordinator.output.html.comparison import interleaved_blocks
from coordinator.output.html.experiments import (
    find_blocks,
    headroom_blocks,
    paper_blocks,
    relative_blocks,
    repeats_blocks,
    sweep_blocks,
)
from coordinator.output.html.hosts import isolate_blocks, pack_blocks
from coordinator.output.html.network import forward_blocks, iperf_blocks
from coordinator.output.judged import Judged
from coordinator.record.kinds import (
    KIND_FORWARD,
    KIND_HTTP_COMPARE,
    KIND_HTTP_FIND,
    KIND_HTTP_HEADROOM,
    KIND_HTTP_REPEATS,
    KIND_IPERF,
    KIND_ISOLATE,
    KIND_PACK,
    KIND_PAPER,
    KIND_RELATIVE,
    KIND_SPEC_COMPARE,
    KIND_SPEC_FIND,
    KIND_SPEC_HEADROOM,
    KIND_SPEC_REPEATS,
    KIND_SWEEP,
)

PLOTS: dict[str, tuple[str, Callable[[Judged[Any, Any]], Iterator[Block]]]] = {
    KIND_SWEEP: ("By number of VMs", sweep_blocks),
    KIND_SPEC_FIND: ("The capacity curve", find_blocks),
    KIND_HTTP_FIND: ("The capacity curve", find_blocks),
    KIND_SPEC_REPEATS: ("The repeats", repeats_blocks),
    KIND_HTTP_REPEATS: ("The repeats", repeats_blocks),
    KIND_SPEC_COMPARE: ("The comparison", interleaved_blocks),
    KIND_HTTP_COMPARE: ("The comparison", interleaved_blocks),
    KIND_SPEC_HEADROOM: ("Headroom", headroom_blocks),
    KIND_HTTP_HEADROOM: ("Headroom", headroom_blocks),
    KIND_IPERF: ("Throughput", iperf_blocks),
    KIND_FORWARD: ("Forwarding", forward_blocks),
    KIND_PACK: ("Footprint", pack_blocks),
    KIND_ISOLATE: ("Isolation", isolate_blocks),
    KIND_RELATIVE: ("Relative performance", relative_blocks),
    KIND_PAPER: ("This machine and the paper", paper_blocks),
}
"""By the kind of the record: the heading, and the blocks below it.  Runs against targets have sections of their own."""
