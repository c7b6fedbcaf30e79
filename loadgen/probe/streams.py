"""One connection of a test, and the thread that works on it.

Only the thread writes its counters.  The director of the test reads them at the right moments, so threads need not know
about the omitted warm-up.  System calls release the GIL, so all threads copy in parallel.  The loops around the calls
are tight, because with small windows they dominate the cost.
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
from pathlib import Path

from loadgen.measure.throughput import UNKNOWN
from loadgen.probe.sockets import make_blocking, tcp_info
from loadgen.probe.tcpinfo import TcpInfo

NO_LIMIT = 1 << 62

# Indexes into `cell`, which needs no lock: storing an item is atomic under the GIL.
BYTES = 0  # bytes so far; written by the thread
STOP = 1  # true: the thread must end; written by the director
LIMIT = 2  # number of bytes after which a sender ends; written by the director
LAST = 3  # CLOCK_MONOTONIC in ns of the last progress, in tests with a limit; written by the thread
QUIET = 4  # CLOCK_MONOTONIC in ns at which a TCP receiver last noticed that nothing comes; written by the thread
QUIET_BYTES = 5  # the bytes it had received by then


class Stream:
    """A connected socket with a thread of its own, from :meth:`start` to :meth:`close`.

    `sends`: whether this end sends.  `broken`: how the connection failed, in words; empty if it did not.
    """

    def __init__(self, number: int, sock: socket.socket, *, sends: bool, cores: Collection[int] = ()) -> None:
        self.id = number
        self.sends = sends
        self.sock = sock
        self.broken = ""
        self.cell = [0, 0, NO_LIMIT, 0, 0, 0]
        self._cores = cores
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        self._thread: threading.Thread | None = None
        self._clock = UNKNOWN
        self._cpu_ns = UNKNOWN  # known after the thread has ended
        self._schedstat: Path | None = None
        self._waited_ns = UNKNOWN

    def start(self) -> None:
        """Start the thread.  Raises OSError if that fails."""
        make_blocking(self.sock)
        thread = threading.Thread(target=self._main, name=f"stream {self.id}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise OSError(errno.EAGAIN, "no more threads can be started") from error
        self._thread = thread

    def work(self) -> None:
        """Runs in the thread, until `cell[STOP]` or the end of the connection.  May raise OSError."""
        raise NotImplementedError

    def read(self) -> tuple[int, int, int, int, int]:
        """Counts so far: bytes; datagrams (sent, or the receiver's highest number), lost, out of order, duplicates."""
        return self.cell[BYTES], 0, 0, 0, 0

    def quiet_ns(self, now_ns: int) -> int:
        """For how long nothing has come, if this end receives over TCP; 0 up to some 0.1 s; else UNKNOWN."""
        if self.sends or self.sock.type is not socket.SOCK_STREAM:
            return UNKNOWN
        since_ns = self.cell[QUIET]
        if not since_ns or self.cell[QUIET_BYTES] != self.cell[BYTES]:
            return 0
        return max(0, now_ns - since_ns)  # the thread may notice it after `now_ns`: reading many streams takes time

    def info(self) -> TcpInfo | None:
        """The kernel's TCP_INFO if this end sends over TCP; else None."""
        return tcp_info(self.sock) if self.sends and self.sock.type is socket.SOCK_STREAM else None

    def jitter_ns(self) -> int:
        """Current jitter; UNKNOWN if this end does not receive datagrams."""
        return UNKNOWN

    def dropped(self) -> int:
        """Datagrams so far that came, but found the socket's buffer full; UNKNOWN if this end receives none."""
        return UNKNOWN

    def cpu_ns(self) -> int:
        """CPU time of the thread so far; 0 before it starts."""
        if self._cpu_ns == UNKNOWN and self._clock != UNKNOWN:
            try:
                return time.clock_gettime_ns(self._clock)
            except OSError:  # the thread has just ended
                return max(0, self._cpu_ns)
        return max(0, self._cpu_ns)

    def waited_ns(self) -> int:
        """Time that the thread could run but waited for a core (proc(5), schedstat); UNKNOWN before it starts.

        UNKNOWN also where the kernel does not count it.
        """
        if not self.ended and self._schedstat is not None:
            with contextlib.suppress(OSError, ValueError, IndexError):  # the thread may end at this moment
                self._waited_ns = int(self._schedstat.read_text().split()[1])
        return self._waited_ns

    @property
    def ended(self) -> bool:
        """Whether the thread has ended, so that its counters are final."""
        return self._cpu_ns != UNKNOWN

    def stop(self) -> None:
        """Ask the thread to end; it finishes its current call first."""
        self.cell[STOP] = 1

    async def hang_up(self) -> None:
        """End a sender's thread, then shut down its half: a peer that reads whole blocks must not wait for the rest."""
        self.stop()
        await self._over.wait()
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    async def close(self) -> None:
        """End the thread and close the socket.  Idempotent."""
        self.stop()
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)  # wakes a blocked thread
        try:
            if self._thread is not None:
                await self._over.wait()
                self._thread.join()
        finally:
            self.sock.close()

    def _main(self) -> None:
        self._clock = time.pthread_getcpuclockid(threading.get_ident())
        self._schedstat = Path(f"/proc/self/task/{threading.get_native_id()}/schedstat")
        try:
            if self._cores:
                os.sched_setaffinity(0, self._cores)
            self.work()
        except OSError as error:
            if not self.cell[STOP]:
                self.broken = error.strerror or str(error)
        finally:
            self.waited_ns()
            self._cpu_ns = time.thread_time_ns()
            with contextlib.suppress(RuntimeError):  # the loop is closed, so nothing waits for this event
                self._loop.call_soon_threadsafe(self._over.set)
