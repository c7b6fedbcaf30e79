"""Reads snapshots together that arrive at nearly the same time: a third of the cost for hundreds of machines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from coordinator.fleet.dask.asking import UnreadableError, reading
from loadgen.measure.events import AgentEvent
from loadgen.measure.together import Snapshots, read_intervals, read_workers

_AT_ONCE = 64
_BYTES = 16 << 20  # of tallies; the reader of a record accepts at most 256 MB at once


class Speaker(Protocol):
    """A machine that sent snapshots."""

    @property
    def lost(self) -> bool:
        """Whether it was given up, so that its reports are ignored."""

    def check_snapshots(self, workers: Sequence[str], intervals: Sequence[int]) -> None:
        """Raise ValueError if it cannot have measured these snapshots."""

    def lose(self, why: str) -> None:
        """Give the machine up, because its message cannot be read."""


class Unread:
    """Snapshots that were received and not read yet.  `on_event` receives those of several machines as one event."""

    def __init__(self, on_event: Callable[[AgentEvent], None]) -> None:
        self._on_event = on_event
        self._waiting: list[tuple[Speaker, Any]] = []
        self._bytes = 0

    def add(self, machine: Speaker, wire: object) -> None:
        """Keep a machine's message: the wire form of Snapshots, which is not checked yet."""
        self._waiting.append((machine, wire))
        tallies = wire.get("tallies") if isinstance(wire, Mapping) else None
        self._bytes += len(tallies) if isinstance(tallies, bytes) else 0
        if len(self._waiting) >= _AT_ONCE or self._bytes > _BYTES:
            self.read()

    def read(self) -> None:
        """Read everything, in order for each machine.  A machine that sent nonsense is lost; the others are not."""
        waiting, self._waiting, self._bytes = self._waiting, [], 0
        by_interval: dict[int, list[tuple[Speaker, Any]]] = {}
        queued: set[Speaker] = set()

        def read_those() -> None:
            for some in by_interval.values():
                self._read_together(some)
            by_interval.clear()
            queued.clear()

        for machine, wire in waiting:
            if machine in queued:  # its earlier snapshots come first
                read_those()
            try:
                with reading():
                    intervals = read_intervals(wire)
                    machine.check_snapshots(read_workers(wire), intervals)
            except UnreadableError as error:
                machine.lose(error.message)
            else:
                by_interval.setdefault(intervals[0], []).append((machine, wire))
                queued.add(machine)
        read_those()

    def _read_together(self, some: Sequence[tuple[Speaker, Any]]) -> None:
        present = [(machine, wire) for machine, wire in some if not machine.lost]
        try:
            if present:
                self._on_event(Snapshots.from_wires([wire for _, wire in present]))
        except ValueError:  # one of them is malformed
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
