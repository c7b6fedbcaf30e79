"""What a machine's heartbeat holds, and when it beats.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from loadgen.agent.chunk import chunk_to_wire
from loadgen.model.machine import MachineState
from loadgen.model.units import NS_PER_MS, NS_PER_S

CHUNK_BYTES = 1 << 20
"""The most that one heartbeat carries of the spool."""

UNACKNOWLEDGED_BYTES = 8 << 20
"""With more than that on its way, heartbeats carry nothing: Dask would keep it all in memory."""

_AFTER_NS = 100 * NS_PER_MS
"""Engines report at the end of an interval; the heartbeat comes when these reports are there."""


class Heart:
    """The heartbeats of `machine`: consecutive pieces of its spool, of at most `chunk_bytes`, each sent once.

    A piece that does not arrive is fetched by the coordinator (calls.read_spool).
    """

    def __init__(self, machine: str, chunk_bytes: int = CHUNK_BYTES) -> None:
        self._machine = machine
        self._chunk_bytes = chunk_bytes
        self._seq = 0
        self._sent = 0
        self._acknowledged = 0
        self._heard: tuple[int, int] | None = None

    def hear(self, sent_ns: int, heard_ns: int) -> None:
        """The next heartbeat says: what the coordinator sent at `sent_ns` of its clock came at `heard_ns` of ours."""
        self._heard = sent_ns, heard_ns

    def acknowledge(self, offset: int) -> None:
        """The coordinator has all before `offset`."""
        self._acknowledged = max(self._acknowledged, offset)
        self._sent = max(self._sent, offset)  # it fetched that itself

    def has_more(self, spool_bytes: int) -> bool:
        """Whether there is something that may be sent, of a spool of that length."""
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
        """The next heartbeat, plain data.

        `read(offset, size)` gives bytes of the spool, of which there are `spool_bytes`; `log` are lines, and how
        many more there were.
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
    """When the next regular heartbeat is due: shortly after the end of a second from `origin_ns`."""
    first_ns = origin_ns + _AFTER_NS
    return first_ns + ((now_ns - first_ns) // NS_PER_S + 1) * NS_PER_S
