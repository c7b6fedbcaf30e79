"""Pumps move bytes from one socket to another: through a pipe without copying, or through a buffer.

One call does one read and one write, so that no flow starves another.  Bytes that the destination did not accept stay
in the pipe or buffer, which belongs to the flow until it is empty; the pump then uses another one for the next flow.  A
flow that is not blocked owns no pipe or buffer.

A bulk flow is read in the kernel's *blocking* mode when it is known to be readable.  The read does not wait then, but
in this mode the kernel also returns bytes that arrive during the call (DESIGN.md, "Proxy").  SO_RCVTIMEO bounds the
wait if the flow is not readable after all.  Writes never wait.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import socket
import struct
from collections.abc import Callable
from typing import Protocol

SMALL_BYTES = 16 << 10
"""Below this size, copying is cheaper than handling the pages of a pipe."""
COPY_BYTES = 256 << 10
PIPE_BYTES = 1 << 20
BULK_READS = 8
"""Number of consecutive large reads that make a flow a bulk flow."""
RECEIVE_TIMEOUT = struct.pack("ll", 0, 1_000)
"""SO_RCVTIMEO as a struct timeval: 1 ms."""

MUTE = -1
"""Mask of a socket that is not registered, because epoll would report its hang-up repeatedly."""

_FLAGS = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK
_POOLED = 512


class Stash(Protocol):
    """A pipe or a buffer that holds bytes of one flow."""

    def write(self, source: End) -> None:
        """Write held bytes of `source` to its peer, as many as it accepts.  Raises OSError if the peer fails."""

    def give_back(self, *, empty: bool) -> None:
        """Return it to its pump; `empty` says whether no bytes are left in it."""


class End:
    """One socket of a connection.

    `held_bytes`: bytes read from it that are still in `stash`, from `offset` on.  `blocking`: the mode of its
    descriptor; accepted sockets start in blocking mode.  `streak`: rises with large reads, and falls with small ones.
    `mask`: its epoll events, or MUTE.
    """

    __slots__ = (
        "blocking",
        "fd",
        "held_bytes",
        "mask",
        "move",
        "offset",
        "peer",
        "read_bytes",
        "sock",
        "stash",
        "streak",
        "which",
    )

    peer: End

    def __init__(self, sock: socket.socket, which: int, move: Callable[[End], int], *, blocking: bool) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.which = which
        self.move = move
        self.mask = MUTE
        self.blocking = blocking
        self.streak = 0
        self.held_bytes = 0
        self.offset = 0
        self.stash: Stash | None = None
        self.read_bytes = 0

    def saw(self, count: int) -> None:
        """Note a read of `count` bytes; enough large reads in a row make it a bulk flow."""
        if count < SMALL_BYTES:
            self.streak = 0
        else:
            self.streak += 1
            if self.streak == BULK_READS:
                self.harvest()

    def harvest(self) -> None:
        """Switch to reads in blocking mode."""
        if not self.blocking:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, RECEIVE_TIMEOUT)
            os.set_blocking(self.fd, True)
            self.blocking = True

    def unblock(self) -> None:
        """Switch to non-blocking mode, before a splice to this socket: splice has no flag for that."""
        os.set_blocking(self.fd, False)
        self.blocking = False
        self.streak = min(self.streak, 1)


class Pump(Protocol):
    """Moves bytes from a socket to its peer."""

    def move(self, source: End) -> int:
        """Read from `source`, which must hold no bytes, and write to its peer; the number of bytes read, 0 at the end.

        Bytes that the peer did not accept are then in `source.stash`.  Raises BlockingIOError if there was nothing to
        read, and another OSError if either socket fails.
        """

    def trim(self) -> None:
        """Release the spare pipes and buffers that are kept for blocked flows."""

    def close(self) -> None:
        """Release all pipes and buffers."""


class _Buffer:
    """A buffer in a mapping of its own, so that its memory returns to the kernel after use."""

    __slots__ = ("_pool", "data", "view")

    def __init__(self, size_bytes: int, pool: list[_Buffer]) -> None:
        self.data = mmap.mmap(-1, size_bytes)
        self.view = memoryview(self.data)
        self._pool = pool

    def write(self, source: End) -> None:
        """Write held bytes of `source` to its peer without waiting; see :class:`Stash`."""
        rest = self.view[source.offset : source.offset + source.held_bytes]
        with contextlib.suppress(BlockingIOError):
            sent = source.peer.sock.send(rest, socket.MSG_DONTWAIT)
            source.offset += sent
            source.held_bytes -= sent

    def give_back(self, *, empty: bool) -> None:
        """Return the buffer to the pool, empty or not; see :class:`Stash`."""
        if len(self._pool) < _POOLED:
            self._pool.append(self)


class CopyPump:
    """Reads into a buffer and writes from it, as the paper describes."""

    def __init__(self, size_bytes: int = COPY_BYTES) -> None:
        self._size_bytes = size_bytes
        self._pool: list[_Buffer] = []
        self._buffer = _Buffer(size_bytes, self._pool)

    def move(self, source: End) -> int:
        """Read into the buffer and write from it; see :class:`Pump`."""
        buffer = self._buffer
        if source.streak >= BULK_READS:
            count = source.sock.recv_into(buffer.data)
            if count < SMALL_BYTES:
                source.streak -= 1
        else:
            count = source.sock.recv_into(buffer.data, 0, socket.MSG_DONTWAIT)
            source.saw(count)
        if not count:
            return 0
        try:
            sent = source.peer.sock.send(buffer.view[:count], socket.MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        source.read_bytes += count
        if sent != count:
            self._buffer = self._pool.pop() if self._pool else _Buffer(self._size_bytes, self._pool)
            source.offset, source.held_bytes, source.stash = sent, count - sent, buffer
        return count

    def trim(self) -> None:
        """Release all pooled buffers; see :class:`Pump`."""
        self._pool.clear()

    def close(self) -> None:
        """Release all pooled buffers; see :class:`Pump`."""
        self._pool.clear()


class _Pipe:
    """A pipe of up to PIPE_BYTES, if the kernel permits.  Raises OSError without free descriptors."""

    __slots__ = ("_pool", "reader", "writer")

    def __init__(self, pool: list[_Pipe]) -> None:
        self.reader, self.writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._pool = pool
        with contextlib.suppress(PermissionError):  # the user's limit of pipe pages is reached; the pipe keeps 64 KiB
            fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def write(self, source: End) -> None:
        """Splice held bytes of `source` to its peer without waiting; see :class:`Stash`."""
        peer = source.peer
        if peer.blocking:
            peer.unblock()
        with contextlib.suppress(BlockingIOError):
            source.held_bytes -= os.splice(self.reader, peer.fd, source.held_bytes, flags=_FLAGS)

    def give_back(self, *, empty: bool) -> None:
        """Return an empty pipe to the pool, close any other; see :class:`Stash`."""
        if empty and len(self._pool) < _POOLED:
            self._pool.append(self)
        else:
            self.close()

    def pour(self, count: int) -> _Buffer:
        """Move the `count` bytes in the pipe to a buffer in memory."""
        buffer = _Buffer(count, [])  # not pooled, because of its special size
        filled = 0
        while filled < count:
            filled += os.readv(self.reader, [buffer.view[filled:]])
        return buffer

    def close(self) -> None:
        """Close both ends of the pipe."""
        os.close(self.reader)
        os.close(self.writer)


class SplicePump:
    """Moves large reads through a pipe without copying, and small reads through a buffer, which is cheaper."""

    def __init__(self) -> None:
        self._pool: list[_Pipe] = []
        self._pipe = _Pipe(self._pool)
        self._small = CopyPump(SMALL_BYTES)

    def move(self, source: End) -> int:
        """Splice through the pipe, or copy after a small read; see :class:`Pump`."""
        if not source.streak:
            return self._small.move(source)
        pipe = self._pipe
        count = os.splice(source.fd, pipe.writer, PIPE_BYTES, None, None, _FLAGS)
        if count < SMALL_BYTES:
            if not count:
                return 0
            source.streak -= 1
        elif source.streak < BULK_READS:
            source.saw(count)
        peer = source.peer
        if peer.blocking:
            peer.unblock()
        try:
            sent = os.splice(pipe.reader, peer.fd, count, None, None, _FLAGS)
        except BlockingIOError:
            sent = 0
        except OSError:
            pipe.pour(count)  # empty the pipe, so that no other flow gets these bytes
            raise
        source.read_bytes += count
        if sent != count:
            source.held_bytes = count - sent
            try:
                self._pipe = self._pool.pop() if self._pool else _Pipe(self._pool)
                source.stash = pipe
            except OSError:  # no descriptors left: move the bytes to memory and keep using this pipe
                source.offset, source.stash = 0, pipe.pour(count - sent)
        return count

    def trim(self) -> None:
        """Close all pooled pipes and release pooled buffers; see :class:`Pump`."""
        for pipe in self._pool:
            pipe.close()
        self._pool.clear()
        self._small.trim()

    def close(self) -> None:
        """Close all pipes and release pooled buffers; see :class:`Pump`."""
        self.trim()
        self._pipe.close()
