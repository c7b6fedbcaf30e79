"""Moving bytes from one socket to another: through a pipe without copying them, or through a buffer.

One call moves what is there, once in and once out, so that no flow starves another.  What the destination did not
take stays in its pipe or buffer, which is the flow's until it is empty; the pump lends another to the next.  So a
flow that is not blocked owns nothing.

A bulk flow is read in the kernel's *blocking* mode, once it is known to be readable.  It does not wait then, but in
that mode the kernel also takes in what arrives during the call (DESIGN.md, "Proxy").  SO_RCVTIMEO bounds what could
go wrong.  Writes never wait.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import socket
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from loadgen.proxy.service import Connection

SMALL_BYTES = 16 << 10
"""Up to here a copy is cheaper than handling a pipe's pages."""
COPY_BYTES = 256 << 10
PIPE_BYTES = 1 << 20
BULK_READS = 8
"""So many large reads in a row make a flow a bulk one."""
RECEIVE_TIMEOUT = struct.pack("ll", 0, 1_000)
"""For SO_RCVTIMEO, a struct timeval: 1 ms."""

MUTE = -1
"""Instead of a mask: the socket is not registered, since epoll would report its hang-up for ever."""

_FLAGS = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK
_POOLED = 512


class Stash(Protocol):
    """A pipe or a buffer with bytes of one flow in it."""

    def write(self, source: End) -> None:
        """Hand on what is held of `source` to its peer, as far as it goes.  Raises OSError."""

    def give_back(self, *, empty: bool) -> None:
        """The flow needs it no more; it may still have bytes in it."""


class End:
    """One socket of a connection.

    `held_bytes` were read from it and are still in `stash`, from `offset` on.  `blocking` is the mode that its
    descriptor is in: an accepted socket begins as a blocking one.  `streak` goes up with large reads and down with
    small ones.  `mask` is what epoll is asked of it.
    """

    __slots__ = (
        "blocking",
        "connection",
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

    connection: Connection
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
        """A read brought `count` bytes."""
        if count < SMALL_BYTES:
            self.streak = 0
        else:
            self.streak += 1
            if self.streak == BULK_READS:
                self.harvest()

    def harvest(self) -> None:
        """From now on it is read in blocking mode."""
        if not self.blocking:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, RECEIVE_TIMEOUT)
            os.set_blocking(self.fd, True)
            self.blocking = True

    def unblock(self) -> None:
        """A splice to a socket waits or not by the mode of its descriptor: no flag says so."""
        os.set_blocking(self.fd, False)
        self.blocking = False
        self.streak = min(self.streak, 1)


class Pump(Protocol):
    """A way of moving bytes."""

    def move(self, source: End) -> int:
        """Read from `source`, of which nothing is held, and write to its peer; how much was read, 0 at the end.

        What the peer did not take is in `source.stash`.  Raises BlockingIOError when there was nothing to read
        after all, another OSError when either side is broken.
        """

    def trim(self) -> None:
        """Let go of what it keeps for flows that may be blocked."""

    def close(self) -> None:
        """Let go of all that it keeps."""


class _Buffer:
    """A buffer of user memory, mapped by itself: then it is the kernel's again when nobody needs it any more."""

    __slots__ = ("_pool", "data", "view")

    def __init__(self, size_bytes: int, pool: list[_Buffer]) -> None:
        self.data = mmap.mmap(-1, size_bytes)
        self.view = memoryview(self.data)
        self._pool = pool

    def write(self, source: End) -> None:
        """See :class:`Stash`."""
        rest = self.view[source.offset : source.offset + source.held_bytes]
        with contextlib.suppress(BlockingIOError):
            sent = source.peer.sock.send(rest, socket.MSG_DONTWAIT)
            source.offset += sent
            source.held_bytes -= sent

    def give_back(self, *, empty: bool) -> None:
        """See :class:`Stash`."""
        if len(self._pool) < _POOLED:
            self._pool.append(self)


class CopyPump:
    """Read into a buffer and write from it: what the paper describes."""

    def __init__(self, size_bytes: int = COPY_BYTES) -> None:
        self._size_bytes = size_bytes
        self._pool: list[_Buffer] = []
        self._buffer = _Buffer(size_bytes, self._pool)

    def move(self, source: End) -> int:
        """See :class:`Pump`."""
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
        """See :class:`Pump`."""
        self._pool.clear()

    def close(self) -> None:
        """See :class:`Pump`."""
        self._pool.clear()


class _Pipe:
    """A pipe, as large as the kernel allows.  Raises OSError when there is no descriptor for it."""

    __slots__ = ("_pool", "reader", "writer")

    def __init__(self, pool: list[_Pipe]) -> None:
        self.reader, self.writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._pool = pool
        with contextlib.suppress(PermissionError):  # beyond the user's share of pipe pages: it stays at 64 KiB
            fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def write(self, source: End) -> None:
        """See :class:`Stash`."""
        peer = source.peer
        if peer.blocking:
            peer.unblock()
        with contextlib.suppress(BlockingIOError):
            source.held_bytes -= os.splice(self.reader, peer.fd, source.held_bytes, flags=_FLAGS)

    def give_back(self, *, empty: bool) -> None:
        """See :class:`Stash`."""
        if empty and len(self._pool) < _POOLED:
            self._pool.append(self)
        else:
            self.close()

    def pour(self, count: int) -> _Buffer:
        """The `count` bytes that are in it, in memory."""
        buffer = _Buffer(count, [])  # of a size that is no use to others
        filled = 0
        while filled < count:
            filled += os.readv(self.reader, [buffer.view[filled:]])
        return buffer

    def close(self) -> None:
        """Close both ends."""
        os.close(self.reader)
        os.close(self.writer)


class SplicePump:
    """Large reads go through a pipe, without being copied; small ones through a buffer, which is cheaper."""

    def __init__(self) -> None:
        self._pool: list[_Pipe] = []
        self._pipe = _Pipe(self._pool)
        self._small = CopyPump(SMALL_BYTES)

    def move(self, source: End) -> int:
        """See :class:`Pump`."""
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
            pipe.pour(count)  # nobody must get what is left of this flow
            raise
        source.read_bytes += count
        if sent != count:
            source.held_bytes = count - sent
            try:
                self._pipe = self._pool.pop() if self._pool else _Pipe(self._pool)
                source.stash = pipe
            except OSError:  # no descriptors left: then the flow waits in memory, and this pipe goes on
                source.offset, source.stash = 0, pipe.pour(count - sent)
        return count

    def trim(self) -> None:
        """See :class:`Pump`."""
        for pipe in self._pool:
            pipe.close()
        self._pool.clear()
        self._small.trim()

    def close(self) -> None:
        """See :class:`Pump`."""
        self.trim()
        self._pipe.close()
