"""One connection of a test, and the thread that works on it.

The thread writes its counters and nobody else does; whoever directs the test reads them at the moments that
count, so no thread needs to know what is omitted.  System calls release the GIL, so that all threads' copying
goes on at once; the loops around them are tight because with small windows they are what costs.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import threading
import time
from collections.abc import Collection

from loadgen.measure.throughput import UNKNOWN
from loadgen.probe.sockets import make_blocking, tcp_info
from loadgen.probe.tcpinfo import TcpInfo

NO_LIMIT = 1 << 62

# What `cell` holds: written and read without a lock, because storing an item is one step under the GIL.
BYTES = 0  # done so far; the thread writes it
STOP = 1  # true: the thread is to end; the director writes it
LIMIT = 2  # a sender is done when it has sent so many; the director writes it
LAST = 3  # CLOCK_MONOTONIC in ns of the last progress, where the limit makes that matter; the thread writes it


class Stream:
    """A connected socket that is worked on by a thread of its own, from :meth:`start` to :meth:`close`.

    `sends` says in which direction.  `broken` says in words how the connection failed, if it did.
    """

    def __init__(self, number: int, sock: socket.socket, *, sends: bool, cores: Collection[int] = ()) -> None:
        self.id = number
        self.sends = sends
        self.sock = sock
        self.broken = ""
        self.cell = [0, 0, NO_LIMIT, 0]
        self._cores = cores
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        self._thread: threading.Thread | None = None
        self._clock = UNKNOWN
        self._cpu_ns = UNKNOWN  # when the thread has ended

    def start(self) -> None:
        """Begin to work.  Raises OSError when no thread can be had."""
        make_blocking(self.sock)
        thread = threading.Thread(target=self._main, name=f"stream {self.id}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise OSError(errno.EAGAIN, "no more threads can be started") from error
        self._thread = thread

    def work(self) -> None:
        """The thread's work, until `cell[STOP]` or the connection's end.  May raise OSError."""
        raise NotImplementedError

    def read(self) -> tuple[int, int, int, int]:
        """So far: bytes, datagrams (sent, or due at the receiver), those lost, those out of order."""
        return self.cell[BYTES], 0, 0, 0

    def info(self) -> TcpInfo | None:
        """The kernel's view of the path, where this end sends over TCP."""
        return tcp_info(self.sock) if self.sends and self.sock.type is socket.SOCK_STREAM else None

    def jitter_ns(self) -> int:
        """Now; UNKNOWN where no datagrams are received."""
        return UNKNOWN

    def cpu_ns(self) -> int:
        """CPU time of the thread so far."""
        if self._cpu_ns == UNKNOWN and self._clock != UNKNOWN:
            try:
                return time.clock_gettime_ns(self._clock)
            except OSError:  # it ended just now
                return max(0, self._cpu_ns)
        return max(0, self._cpu_ns)

    @property
    def ended(self) -> bool:
        """The thread has nothing more to do."""
        return self._cpu_ns != UNKNOWN

    def stop(self) -> None:
        """Let the thread end soon; it may finish the call that it is in."""
        self.cell[STOP] = 1

    async def hang_up(self) -> None:
        """End a sender's thread, then its half of the connection: who reads whole blocks must not wait for the rest."""
        self.stop()
        await self._over.wait()
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    async def close(self) -> None:
        """End the thread and close the socket.  Idempotent."""
        self.stop()
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)  # it wakes a thread that is blocked
        try:
            if self._thread is not None:
                await self._over.wait()
                self._thread.join()
        finally:
            self.sock.close()

    def _main(self) -> None:
        self._clock = time.pthread_getcpuclockid(threading.get_ident())
        try:
            if self._cores:
                os.sched_setaffinity(0, self._cores)
            self.work()
        except OSError as error:
            if not self.cell[STOP]:
                self.broken = error.strerror or str(error)
        finally:
            self._cpu_ns = time.thread_time_ns()
            with contextlib.suppress(RuntimeError):  # nobody waits any more: the loop is closed
                self._loop.call_soon_threadsafe(self._over.set)
