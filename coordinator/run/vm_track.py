"""Adds up the counters of VMs by measured window.  Pure.

Memory is bounded by windows, VMs and the number of times that something began to hold a VM.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from loadgen.measure.vm_second import COLUMNS, COUNTED, UNKNOWN, VmSecond, VmWeights
from loadgen.model.units import NS_PER_S
from loadgen.verdict.vm_counters import COUNTED_BY, Held, VmCounters, causes

Spans = dict[tuple[str, int], list[tuple[int, int]]]
"""By cause and VM: the first and last seconds of the run."""


class _Window:
    """The sums of one window for `vms` VMs."""

    def __init__(self, vms: int) -> None:
        self.wall_ns = self.stolen_ns = self.core_ns = 0
        self.knows_stolen = True
        self.numbers = np.zeros((len(COLUMNS), vms), dtype=np.int64)
        self.unread = np.zeros((len(COLUMNS), vms), dtype=np.int64)
        self.spans: Spans = defaultdict(list)

    def add(self, second: VmSecond) -> None:
        read = np.maximum(second.numbers, 0)
        counted, levels = slice(0, len(COUNTED)), slice(len(COUNTED), None)
        self.numbers[counted] += read[counted]
        self.numbers[levels] = np.maximum(self.numbers[levels], read[levels])
        self.unread += second.numbers == UNKNOWN
        self.wall_ns += second.wall_ns
        self.knows_stolen &= second.stolen_ns >= 0 and second.core_ns > 0
        self.stolen_ns += second.stolen_ns
        self.core_ns += second.core_ns
        first_s, last_s = second.begin_ns // NS_PER_S, max(second.begin_ns, second.end_ns - NS_PER_S // 2) // NS_PER_S
        for what, values in causes(second.numbers, second.wall_ns, second.stolen_ns, second.core_ns):
            for vm in np.flatnonzero(values).tolist():
                spans = self.spans[what, vm]
                if spans and spans[-1][1] >= first_s - 1:
                    spans[-1] = (spans[-1][0], last_s)
                else:
                    spans.append((first_s, last_s))

    @property
    def known(self) -> NDArray[np.int64]:
        """The sums; UNKNOWN where nothing was read, and where 0 was read and some seconds were not."""
        return np.where((self.unread > 0) & (self.numbers == 0), UNKNOWN, self.numbers)


@dataclass(slots=True)
class VmTrack:
    """The counters of the VMs of a run, which has that many targets."""

    targets: int
    _windows: dict[int, _Window] = field(default_factory=dict)
    _pss: dict[bool, tuple[int, ...]] = field(default_factory=dict)

    def add(self, read: VmSecond | VmWeights) -> None:
        """Add what was read.  Raises ValueError when it has another number of VMs."""
        vms = len(read.pss_bytes) if isinstance(read, VmWeights) else read.numbers.shape[1]
        if vms != self.targets:
            raise ValueError(f"counters of {vms} VMs, but there are {self.targets} targets")
        if isinstance(read, VmWeights):
            self._pss[read.after] = read.pss_bytes
        elif read.window >= 0:
            self._windows.setdefault(read.window, _Window(vms)).add(read)

    def counters(self, window: int) -> Sequence[VmCounters | None]:
        """The counters of each target in a window; None for one of which nothing was read."""
        found = self._windows.get(window)
        if found is None:
            return (None,) * self.targets
        known = found.known
        stolen_ns = found.stolen_ns if found.knows_stolen else UNKNOWN
        held: defaultdict[int, list[Held]] = defaultdict(list)
        for what, values in causes(known, found.wall_ns, stolen_ns, found.core_ns):
            for vm in np.flatnonzero(values).tolist():
                at_least = what in COUNTED_BY and bool(found.unread[COLUMNS.index(COUNTED_BY[what]), vm])
                spans = tuple(found.spans[what, vm])
                held[vm].append(Held(what=what, value=float(values[vm]), at_least=at_least, spans=spans))
        return [
            self._of(found, known[:, vm], vm, tuple(held[vm])) if (known[:, vm] != UNKNOWN).any() else None
            for vm in range(self.targets)
        ]

    def _of(self, found: _Window, known: NDArray[np.int64], vm: int, held: tuple[Held, ...]) -> VmCounters:
        numbers = {name: None if one == UNKNOWN else one for name, one in zip(COLUMNS, known.tolist(), strict=True)}
        pss = {after: of[vm] if of[vm] >= 0 else None for after, of in self._pss.items()}
        return VmCounters(
            read_s=found.wall_ns / NS_PER_S,
            stolen_share=found.stolen_ns / found.core_ns if found.knows_stolen else None,
            pss_before_bytes=pss.get(False),
            pss_after_bytes=pss.get(True),
            at_least=tuple(
                name
                for name, one, unread in zip(COLUMNS, known.tolist(), found.unread[:, vm].tolist(), strict=True)
                if unread and one != UNKNOWN
            ),
            held=held,
            **numbers,
        )
