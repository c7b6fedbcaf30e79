"""The content of a machine's heartbeats, and when they are due.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from loadgen.agent.chunk import chunk_to_wire
from loadgen.model.machine import MachineState
from loadgen.model.units import NS_PER_MS, NS_PER_S

CHUNK_BYTES = 1 << 20
"""The largest part of the spool that one heartbeat carries."""

UNACKNOWLEDGED_BYTES = 8 << 20
"""While more than this is unacknowledged, heartbeats carry no data: Dask would keep all of it in memory."""

_AFTER_NS = 100 * NS_PER_MS
"""How long after the end of an interval the heartbeat is due, so that the reports of the engines are in it."""


class Heart:
    """The heartbeats of `machine`.  They carry consecutive chunks of its spool, of at most `chunk_bytes`, each once.

    The coordinator fetches a chunk that does not arrive (calls.read_spool).
    """

    def __init__(self, machine: str, chunk_bytes: int = CHUNK_BYTES) -> None:
        self._machine = machine
        self._chunk_bytes = chunk_bytes
        self._seq = 0
        self._sent = 0
        self._acknowledged = 0
        self._heard: tuple[int, int] | None = None

    def hear(self, sent_ns: int, heard_ns: int) -> None:
        """Note for the next heartbeat when a posted renewal was sent (the coordinator's clock) and heard (ours)."""
        self._heard = sent_ns, heard_ns

    def acknowledge(self, offset: int) -> None:
        """Note that the coordinator has received everything before `offset`."""
        self._acknowledged = max(self._acknowledged, offset)
        self._sent = max(self._sent, offset)  # the coordinator fetched some of it itself

    def has_more(self, spool_bytes: int) -> bool:
        """Whether something may be sent now of a spool of that length."""
        return self._sent < spool_bytes and self._sent - self._acknowledged <= UNACKNOWLEDGED_BYTES

    def beat(
        self,
        *,
        at_ns: int,
        state: MachineState,
        engines: int,
        cpu_share: float | None,
        spool_bytes: int,
        read: Callable[[int, int], bytes],
        log: tuple[Sequence[str], int],
        problem: str,
    ) -> dict[str, Any]:
        """Return the next heartbeat as plain data; loadgen.agent.messages.Heartbeat reads it.

        `read(offset, size)` returns bytes of the spool, which has `spool_bytes`.  `log` holds log lines, and how many
        more were dropped.
        """
        chunk = None
        if self.has_more(spool_bytes):
            data = read(self._sent, min(self._chunk_bytes, spool_bytes - self._sent))
            if data:
                chunk = chunk_to_wire(self._sent, data)
                self._sent += len(data)
        self._seq += 1
        heard, self._heard = self._heard, None
        lines, dropped = log
        return {
            "machine": self._machine,
            "seq": self._seq,
            "at_ns": at_ns,
            "heard": heard,
            "state": state.value,
            "engines": engines,
            "cpu_share": cpu_share,
            "spool_bytes": spool_bytes,
            "chunk": chunk,
            "log": list(lines),
            "log_dropped": dropped,
            "problem": problem,
        }


def next_beat_ns(now_ns: int, origin_ns: int) -> int:
    """Return when the next regular heartbeat is due: 100 ms after the end of a second counted from `origin_ns`."""
    first_ns = origin_ns + _AFTER_NS
    return first_ns + ((now_ns - first_ns) // NS_PER_S + 1) * NS_PER_S
