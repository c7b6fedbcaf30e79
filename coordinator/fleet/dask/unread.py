"""Snapshots that machines sent at nearly the same time, read together: with hundreds of machines that costs a third."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from coordinator.fleet.dask.asking import UnreadableError, reading
from loadgen.measure.events import AgentEvent
from loadgen.measure.together import Snapshots, read_intervals, read_workers

_AT_ONCE = 64


class Speaker(Protocol):
    """The machine that sent them."""

    @property
    def lost(self) -> bool:
        """Whether nothing of it counts any more."""

    def check_snapshots(self, workers: Sequence[str], intervals: Sequence[int]) -> None:
        """Raises ValueError when it has no business to report that."""

    def lose(self, why: str) -> None:
        """What it sent can't be read."""


class Unread:
    """What has come and was not read yet; `on_event` gets it, several machines' as one."""

    def __init__(self, on_event: Callable[[AgentEvent], None]) -> None:
        self._on_event = on_event
        self._waiting: list[tuple[Speaker, Any]] = []

    def add(self, machine: Speaker, wire: object) -> None:
        """Keep what a machine sent, the wire form of Snapshots; nobody knows yet whether it is that."""
        self._waiting.append((machine, wire))
        if len(self._waiting) >= _AT_ONCE:
            self.read()

    def read(self) -> None:
        """Read all that is there.  Who sent nonsense is lost, and nobody else."""
        waiting, self._waiting = self._waiting, []
        by_interval: defaultdict[int, list[tuple[Speaker, Any]]] = defaultdict(list)
        for machine, wire in waiting:
            try:
                with reading():
                    intervals = read_intervals(wire)
                    machine.check_snapshots(read_workers(wire), intervals)
                    by_interval[intervals[0]].append((machine, wire))
            except UnreadableError as error:
                machine.lose(error.message)
        for some in by_interval.values():
            self._read_together(some)

    def _read_together(self, some: Sequence[tuple[Speaker, Any]]) -> None:
        present = [(machine, wire) for machine, wire in some if not machine.lost]
        try:
            if present:
                self._on_event(Snapshots.from_wires([wire for _, wire in present]))
        except ValueError:  # of one of them
            for machine, wire in present:
                self._read_alone(machine, wire)

    def _read_alone(self, machine: Speaker, wire: object) -> None:
        try:
            with reading():
                snapshots = Snapshots.from_wires([wire])
        except UnreadableError as error:
            machine.lose(error.message)
        else:
            self._on_event(snapshots)
