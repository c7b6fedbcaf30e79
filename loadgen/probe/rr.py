"""Request/response over one connection (RR): send one byte, receive one byte, repeat."""

from __future__ import annotations

import socket
import time
from collections.abc import Collection

import numpy as np

from loadgen.measure.histogram import Histogram
from loadgen.measure.throughput import UNKNOWN, Latency
from loadgen.probe.streams import BYTES, STOP, Stream

ANSWER = b"\0"
_BATCH = 1 << 16  # number of times after which they go into a histogram, to bound memory

# Index into `cell`, in place of LIMIT; below, its values.
PHASE = 2
OMITTED, MEASURED, OVER = range(3)


class Echo(Stream):
    """The server's end of an RR connection: returns every byte."""

    def __init__(self, number: int, sock: socket.socket) -> None:
        super().__init__(number, sock, sends=False)

    def work(self) -> None:
        """Return bytes until the connection ends."""
        receive, send, cell = self.sock.recv, self.sock.send, self.cell
        answered = 0
        while not cell[STOP]:
            try:
                data = receive(1)
            except BlockingIOError:
                continue
            if not data:
                return
            send(data)
            answered += 1
            cell[BYTES] = answered


class Asker(Stream):
    """The client's end of an RR connection: sends a byte, waits for the answer, and records the time.

    `cell[BYTES]`: number of transactions.  `failed`: transactions in the measured time without an answer.
    """

    def __init__(self, number: int, sock: socket.socket, cores: Collection[int] = ()) -> None:
        super().__init__(number, sock, sends=True, cores=cores)
        self.cell[PHASE] = OMITTED
        self.failed = 0
        self._times_ns: list[int] = []
        self._histograms: list[Histogram] = []

    def work(self) -> None:
        """Run transactions until told to stop, or until the connection breaks."""
        receive, send, cell, now_ns = self.sock.recv, self.sock.send, self.cell, time.monotonic_ns
        done = 0
        while not cell[STOP]:
            phase, began_ns = cell[PHASE], now_ns()
            send(ANSWER)
            while True:
                try:
                    data = receive(1)
                    break
                except BlockingIOError:
                    if cell[STOP]:
                        return
            ended_ns = now_ns()
            if not data:
                if not cell[STOP]:
                    self.broken = "it closed a data connection"
                return
            done += 1
            cell[BYTES] = done
            self.note(phase, ended_ns - began_ns)

    def note(self, phase: int, took_ns: int) -> None:
        """Record a transaction that began in `phase`; it counts if all of it lies in the measured time."""
        if phase == self.cell[PHASE] == MEASURED:
            self._times_ns.append(took_ns)
            if len(self._times_ns) >= _BATCH:
                self._fold()

    def histogram(self) -> Histogram:
        """All recorded times.  Call only after the thread has ended."""
        self._fold()
        return Histogram.merge_all(self._histograms)

    def _fold(self) -> None:
        self._histograms = [
            Histogram.merge_all([*self._histograms, Histogram.of(np.array(self._times_ns, dtype=np.int64))])
        ]
        self._times_ns.clear()


def latency(askers: Collection[Asker], wall_ns: int) -> Latency:
    """The times of all `askers` together.  Call only after their threads have ended."""
    times = Histogram.merge_all(asker.histogram() for asker in askers)

    def percentile(q: float) -> int:
        value_ns = times.percentile_ns(q)
        return UNKNOWN if value_ns is None else value_ns

    return Latency(
        transactions=times.total,
        failed=sum(asker.failed for asker in askers),
        wall_ns=wall_ns,
        p50_ns=percentile(50),
        p90_ns=percentile(90),
        p99_ns=percentile(99),
        max_ns=times.max_ns if times.total else UNKNOWN,
    )
