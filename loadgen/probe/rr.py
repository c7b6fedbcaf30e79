"""Request/response over one connection (RR): one byte there, one byte back, again and again."""

from __future__ import annotations

import socket
import time
from collections.abc import Collection

import numpy as np

from loadgen.measure.histogram import Histogram
from loadgen.measure.throughput import UNKNOWN, Latency
from loadgen.probe.streams import BYTES, STOP, Stream

ANSWER = b"\0"
_BATCH = 1 << 16  # times are folded into a histogram in such numbers, so that memory stays bounded

# Of `cell`, in place of a sender's limit.
PHASE = 2
OMITTED, MEASURED, OVER = range(3)


class Echo(Stream):
    """The server's end of an RR connection: sends back what comes."""

    def __init__(self, number: int, sock: socket.socket) -> None:
        super().__init__(number, sock, sends=False)

    def work(self) -> None:
        """Until the end of the connection."""
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
    """The client's end: asks, waits, and writes down how long it took.

    `cell[BYTES]` counts transactions; `failed` those of the measured time that got no answer.
    """

    def __init__(self, number: int, sock: socket.socket, cores: Collection[int] = ()) -> None:
        super().__init__(number, sock, sends=True, cores=cores)
        self.cell[PHASE] = OMITTED
        self.failed = 0
        self._times_ns: list[int] = []
        self._histograms: list[Histogram] = []

    def work(self) -> None:
        """Until told to stop or, with a broken connection, never again."""
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
        """One transaction, which began in `phase`: it counts when it lies in the measured time as a whole."""
        if phase == self.cell[PHASE] == MEASURED:
            self._times_ns.append(took_ns)
            if len(self._times_ns) >= _BATCH:
                self._fold()

    def histogram(self) -> Histogram:
        """All times; only after the thread has ended."""
        self._fold()
        return Histogram.merge_all(self._histograms)

    def _fold(self) -> None:
        self._histograms = [
            Histogram.merge_all([*self._histograms, Histogram.of(np.array(self._times_ns, dtype=np.int64))])
        ]
        self._times_ns.clear()


def latency(askers: Collection[Asker], wall_ns: int) -> Latency:
    """What all of them wrote down; only after their threads have ended."""
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
