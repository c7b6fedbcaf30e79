"""Collects the reports of the engines during a tape run, and checks them against the run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coordinator.run.disturbances import Disturbances
from coordinator.run.vm_track import VmTrack
from loadgen.measure.cells import CellTable
from loadgen.measure.disturbance import MachineSecond
from loadgen.measure.ledger import Ledger
from loadgen.measure.shown import Shown, first_of
from loadgen.measure.snapshot import Snapshot
from loadgen.measure.tally import operations_of
from loadgen.measure.tcp_view import TcpView
from loadgen.measure.together import Snapshots
from loadgen.measure.vm_second import VmSecond, VmWeights
from loadgen.model.outcome import Outcome
from loadgen.verdict.namespace import NamespaceSums


@dataclass(slots=True)
class Intake:
    """All snapshots of a run with `connections` connections and `targets` targets.

    `ended` holds, by measured window, the intervals (whole seconds) in which operations ended that were due in it;
    `touched` those in which an operation ended that took a part of it.  `disturbances` are the seconds in which load
    machines were disturbed; the ledger sets these apart.  `shown`: what was seen first of failed operations, by target
    and outcome.  `vms`: the counters of the targets that are VMs of this machine.  `namespaces`: those
    of the network namespaces of the load machines.
    """

    ledger: Ledger
    connections: int
    targets: int
    disturbances: Disturbances = field(default_factory=Disturbances)
    ended: defaultdict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    touched: defaultdict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    shown: dict[tuple[int, Outcome], Shown] = field(default_factory=dict)
    vms: VmTrack = field(init=False)
    namespaces: NamespaceSums = field(default_factory=NamespaceSums)

    def __post_init__(self) -> None:
        self.vms = VmTrack(self.targets)

    @classmethod
    def of(cls, workers: Iterable[str], kinds: int, groups: int, *, connections: int, targets: int) -> Intake:
        """Return an empty intake for a tape that counts `kinds` kinds and `groups` groups of operations."""
        disturbances = Disturbances()
        ledger = Ledger(workers, kinds, groups, disturbances.is_left_out)
        disturbances.health_at = ledger.health_at
        return cls(ledger, connections, targets, disturbances)

    def observe(self, second: MachineSecond | VmSecond | VmWeights) -> None:
        """File what a second was like on a load machine or in VMs.  Raises ValueError for other VMs than the run's."""
        if isinstance(second, MachineSecond):
            self.disturbances.add(second)
            self.namespaces.add(second)
        else:
            self.vms.add(second)

    def receive(self, snapshot: Snapshot) -> None:
        """File one snapshot.  Raises ValueError when the snapshot cannot be of this run."""
        cells = CellTable.of(snapshot.cells)
        self._check(snapshot.tallies, cells, CellTable.of(snapshot.stages))
        self._check_tcp(snapshot.tcp)
        self.ledger.receive(snapshot)
        first_of(self.shown, snapshot.shown)
        _note(self.ended, cells.windows, np.full(len(cells.windows), snapshot.interval))
        windows = _windows_of(snapshot.tallies)
        _note(self.touched, windows, np.full(len(windows), snapshot.interval))

    def receive_all(self, together: Snapshots) -> None:
        """File several snapshots.

        Raises ValueError when one of the snapshots cannot belong to this run; then no snapshot is filed.
        """
        self._check(together.tallies, together.cells, *together.stages)
        self._check_tcp(*together.tcp)
        self.ledger.receive_all(together)
        for shown in together.shown:
            first_of(self.shown, shown)
        _note(self.ended, together.cells.windows, np.repeat(together.intervals, together.cell_parts))
        windows = _windows_of(together.tallies)
        _note(self.touched, windows, np.repeat(together.intervals, together.tally_parts))

    def intervals_of(self, window: int) -> frozenset[int]:
        """The intervals in which the engines worked for a measured window.

        When the servers stood still for the whole window, nothing was due in it, and the intervals are those in which
        the operations ended that covered it.
        """
        return frozenset(self.ended.get(window) or self.touched.get(window) or ())

    def _check(self, tallies: NDArray[np.void], *tables: CellTable) -> None:
        if tallies["connection"].max(initial=0) >= self.connections:
            raise ValueError(f"a snapshot has more connections than the run's {self.connections}")
        if any(cells.targets.max(initial=0) >= self.targets for cells in tables):
            raise ValueError(f"a snapshot has more targets than the run's {self.targets}")

    def _check_tcp(self, *views: TcpView) -> None:
        for view in views:
            if view.slots["connection"].max(initial=0) >= self.connections:
                raise ValueError(f"a view of TCP has more connections than the run's {self.connections}")
            if view.paths["target"].max(initial=0) >= self.targets:
                raise ValueError(f"a view of TCP has more targets than the run's {self.targets}")


def _windows_of(tallies: NDArray[np.void]) -> NDArray[np.int64]:
    """The window of each row; -1 for a row without operations, which only says what happened between them."""
    return np.where(operations_of(tallies) > 0, tallies["window"], -1)


def _note(intervals: defaultdict[int, set[int]], windows: NDArray[Any], at: NDArray[np.int64]) -> None:
    """Add to `intervals`, by window, the intervals `at` of the rows whose `windows` are measured ones."""
    measured = windows >= 0
    if measured.any():
        pairs = (windows[measured].astype(np.int64) << 32) + at[measured]
        for pair in pairs[np.flatnonzero(np.diff(pairs, prepend=-1))].tolist():
            intervals[pair >> 32].add(pair & 0xFFFFFFFF)
