"""Every kind of figure: which records have it.  A new one is one function in a file of its own and one entry here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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
    KIND_RELATIVE,
    KIND_SPEC,
    KIND_SPEC_COMPARE,
    KIND_SPEC_FIND,
    KIND_SPEC_HEADROOM,
    KIND_SPEC_REPEATS,
    KIND_SWEEP,
)
from loadgen.model.entry import Entry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coordinator.output.plot.picture import Picture, Subject

_TAPES = (
    KIND_SPEC, KIND_HTTP, KIND_SWEEP, KIND_SPEC_REPEATS, KIND_HTTP_REPEATS, KIND_SPEC_FIND, KIND_HTTP_FIND,
    KIND_SPEC_COMPARE, KIND_HTTP_COMPARE, KIND_SPEC_HEADROOM, KIND_HTTP_HEADROOM,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plot:
    """A kind of figure: its function, the kinds of records that have it, and whether it takes several of them."""

    entry: Entry
    records: tuple[str, ...]
    several: bool = False

    def read(self, subjects: Sequence[Subject]) -> Picture:
        """The picture of these runs.  Raises a LoadgenError when they have nothing to draw."""
        picture: Picture = self.entry.load()(subjects)
        return picture


PLOTS: dict[str, Plot] = {
    "conforming": Plot(
        Entry(
            "coordinator.output.plot.conforming:conforming",
            "conforming connections by number of VMs (Figure 4 of the paper)",
        ),
        (KIND_SPEC, KIND_SWEEP, KIND_SPEC_REPEATS),
        several=True,
    ),
    "relative": Plot(
        Entry("coordinator.output.plot.relative:relative", "each environment relative to the first (Figure 3)"),
        (KIND_RELATIVE,),
        several=True,
    ),
    "throughput": Plot(
        Entry("coordinator.output.plot.network:throughput", "rates by window (Table 3)"), (KIND_IPERF,), several=True
    ),
    "forward": Plot(
        Entry("coordinator.output.plot.network:forward", "forwarding rates by window"), (KIND_FORWARD,), several=True
    ),
    "capacity": Plot(
        Entry("coordinator.output.plot.capacity:capacity", "the runs of a search, and its answer"),
        (KIND_SPEC_FIND, KIND_HTTP_FIND),
    ),
    "footprint": Plot(
        Entry("coordinator.output.plot.footprint:footprint", "memory per VM by number of VMs"), (KIND_PACK,)
    ),
    "isolation": Plot(
        Entry("coordinator.output.plot.isolation:isolation", "latency of a quiet VM beside each hog"), (KIND_ISOLATE,)
    ),
    "latency": Plot(
        Entry("coordinator.output.plot.latency:latency", "response times on a percentile axis"), _TAPES, several=True
    ),
    "series": Plot(Entry("coordinator.output.plot.series:series", "rate and p99 over time"), (KIND_SPEC, KIND_HTTP)),
}
"""By the word of `--kind`.  The first that a record has is its default."""
