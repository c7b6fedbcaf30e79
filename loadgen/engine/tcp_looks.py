"""The Python engine's looks at its TCP connections: getsockopt(TCP_INFO), some in turn, and each one at its end."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from loadgen.engine.tcp_accounts import FIELDS, INFO_BYTES, LOOK_NS, LOOKS_AT_ONCE, QUICK_LOOKS, QUICK_NS, ROUND_NS
from loadgen.measure.tcp_view import COUNTERS

_INFO = np.dtype(
    {
        "names": ["rtt_us", *COUNTERS],
        "formats": ["<u4", "<u4", "<u4", "<u4", "<u4", "<u8", "<u8", "<u8"],
        "offsets": [68, 100, 224, 136, 140, 168, 176, 184],
        "itemsize": INFO_BYTES,
    }
)
"""The used fields of struct tcp_info (include/uapi/linux/tcp.h).  Kernels append fields, so older ones know fewer."""

ORDERED_BYTES = 228
"""From this size on, the struct has `rcv_ooopack`."""

TIMED_BYTES = 192
"""From this size on, it has `sndbuf_limited` and all counters before it."""

_Look = tuple[int, int, bool, bytes]
"""Number of the connection, descriptor, whether it is the last look at this TCP connection, struct tcp_info."""


class Carrying(Protocol):
    """A connection of the load with the TCP connections that it has open, usually one."""

    number: int

    def sockets(self) -> Iterable[socket.socket]:
        """The open TCP connections; those that several connections share are the first one's."""


class NoLooks:
    """Stands for TcpLooks where nobody asks for the numbers, as for a canary."""

    def ended(self, number: int, sock: socket.socket, lived_ns: int) -> None:
        """Do nothing."""


class TcpLooks(NoLooks):
    """The table of an engine (see :mod:`loadgen.engine.tcp_accounts`); `numbers` are its connections, ascending."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self._numbers = np.array(numbers, np.int64)
        self._table = np.zeros((len(numbers), len(FIELDS)), np.int64)
        self._seen = np.zeros((64, len(COUNTERS)), np.int64)  # by descriptor: counters of the open TCP connection
        self._looks: list[_Look] = []
        self._next = 0  # the connection to look at
        self._round_ns = self._looked_ns = 0
        self._known = set[int]()  # descriptors of TCP connections that were looked at while they were open
        self._quick = 0  # ends of young TCP connections since `_quick_ns`
        self._quick_ns = 0
        self._skipped: list[int] = []  # numbers of the connections whose TCP connections were not looked at

    def ended(self, number: int, sock: socket.socket, lived_ns: int) -> None:
        """Look at a TCP connection of the connection `number`, which is about to be closed, `lived_ns` old."""
        if lived_ns < QUICK_NS:
            self._quick += 1
            if self._quick > QUICK_LOOKS:
                self._skipped.append(number)
                if (descriptor := sock.fileno()) in self._known:
                    self._known.discard(descriptor)
                    self._looks.append((number, descriptor, True, b""))
                return
        with contextlib.suppress(OSError):  # a socket of another kind has no TCP_INFO
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, INFO_BYTES)
            self._looks.append((number, sock.fileno(), True, info))

    def look(self, now_ns: int, connections: Sequence[Carrying]) -> None:
        """Look at the next of all `connections`, if it is time."""
        if now_ns - self._quick_ns >= ROUND_NS:
            self._quick, self._quick_ns = 0, now_ns
        if now_ns - self._looked_ns < LOOK_NS:
            return
        if not self._next:
            if now_ns - self._round_ns < ROUND_NS:
                return
            self._round_ns = now_ns
        self._looked_ns = now_ns
        for connection in connections[self._next : self._next + LOOKS_AT_ONCE]:
            for sock in connection.sockets():
                with contextlib.suppress(OSError):
                    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, INFO_BYTES)
                    self._looks.append((connection.number, sock.fileno(), False, info))
                    self._known.add(sock.fileno())
        self._next += LOOKS_AT_ONCE
        if self._next >= len(connections):
            self._next = 0

    def table(self) -> NDArray[np.int64]:
        """The table with all looks so far."""
        looks, self._looks = self._looks, []
        if looks:
            self._add(looks)
        skipped, self._skipped = self._skipped, []
        np.add.at(self._table[:, FIELDS.index("skipped")], np.searchsorted(self._numbers, skipped), 1)
        return self._table

    def _add(self, looks: Sequence[_Look]) -> None:
        numbers, descriptors, last, infos = zip(*looks, strict=True)
        sizes = np.array([len(info) for info in infos])
        read = np.frombuffer(b"".join(info.ljust(INFO_BYTES, b"\0") for info in infos), _INFO)
        counters = np.array([read[name] for name in COUNTERS]).astype(np.int64).T
        rows = np.searchsorted(self._numbers, np.array(numbers))
        np.add.at(self._table[:, : len(COUNTERS)], rows, self._new(np.array(descriptors), np.array(last), counters))
        rtt_us = read["rtt_us"].astype(np.int64)
        for name, more in (("looks", sizes > 0), ("ordered", sizes >= ORDERED_BYTES), ("timed", sizes >= TIMED_BYTES)):
            np.add.at(self._table[:, FIELDS.index(name)], rows, more)
        has = rtt_us > 0
        np.add.at(self._table[:, FIELDS.index("rtts")], rows[has], 1)
        self._table[rows[has], FIELDS.index("rtt_us")] = rtt_us[has]  # of several samples, the last one stays

    def _new(
        self, descriptors: NDArray[np.int64], last: NDArray[np.bool_], counters: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """By how much each look's counters exceed those of the look before at the same TCP connection."""
        if (need := int(descriptors.max()) + 1) > len(self._seen):
            self._seen = np.concatenate([self._seen, np.zeros((need, len(COUNTERS)), np.int64)])
        order = np.argsort(descriptors, kind="stable")
        sorted_by = descriptors[order]
        leaves = np.where(last[order, None], 0, counters[order])  # what the next look at the descriptor starts from
        first = np.flatnonzero(np.diff(sorted_by, prepend=-1))
        before = np.roll(leaves, 1, axis=0)
        before[first] = self._seen[sorted_by[first]]
        self._seen[sorted_by] = leaves
        new = np.empty_like(counters)
        new[order] = np.maximum(counters[order] - before, 0)
        return new
