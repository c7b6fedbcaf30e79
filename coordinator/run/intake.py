"""Collects the reports of the engines during a tape run, and checks them against the run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from loadgen.measure.cells import CellTable
from loadgen.measure.ledger import Ledger
from loadgen.measure.snapshot import Snapshot
from loadgen.measure.together import Snapshots


@dataclass(slots=True)
class Intake:
    """All snapshots of a run with `connections` connections and `targets` targets.

    `judged` holds the intervals (whole seconds) in which operations of a measured window were reported.
    """

    ledger: Ledger
    connections: int
    targets: int
    judged: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, workers: Iterable[str], kinds: int, groups: int, *, connections: int, targets: int) -> Intake:
        """Return an empty intake for a tape that counts `kinds` kinds and `groups` groups of operations."""
        return cls(Ledger(workers, kinds, groups), connections, targets)

    def receive(self, snapshot: Snapshot) -> None:
        """File one snapshot.  Raises ValueError when the snapshot cannot belong to this run."""
        self._check(snapshot.tallies, CellTable.of(snapshot.cells))
        self.ledger.receive(snapshot)
        if (snapshot.tallies["window"] >= 0).any():
            self.judged.add(snapshot.interval)

    def receive_all(self, together: Snapshots) -> None:
        """File several snapshots.

        Raises ValueError when one of the snapshots cannot belong to this run; then no snapshot is filed.
        """
        self._check(together.tallies, together.cells)
        self.ledger.receive_all(together)
        judged = together.tallies["window"] >= 0
        if judged.any():
            found = np.repeat(together.intervals, together.tally_parts)[judged]
            self.judged.update(found[np.flatnonzero(np.diff(found, prepend=-1))].tolist())

    def _check(self, tallies: NDArray[np.void], cells: CellTable) -> None:
        if tallies["connection"].max(initial=0) >= self.connections:
            raise ValueError(f"a snapshot has more connections than the run's {self.connections}")
        if cells.targets.max(initial=0) >= self.targets:
            raise ValueError(f"a snapshot has more targets than the run's {self.targets}")
