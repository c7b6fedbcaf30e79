"""Request/response over one connection (RR): send one byte, receive one byte, repeat."""

from __future__ import annotations

import socket
import time
from collections.abc import Collection

import numpy as np

from loadgen.measure.histogram import Histogram
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

    `cell[BYTES]`: number of transactions.  `failed`: transactions in the measured time that ended without an answer.
    `given_up`: when each transaction began that was still unanswered at the end, and when the wait ended.  A
    transaction that began in the omitted warm-up counts if it ended later.
    """

    at_once = 1
    """The number of transactions under way at the same time."""

    def __init__(self, number: int, sock: socket.socket, cores: Collection[int] = ()) -> None:
        super().__init__(number, sock, sends=True, cores=cores)
        self.cell[PHASE] = OMITTED
        self.failed = 0
        self.given_up: list[tuple[int, int]] = []
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
                        self.give_up(phase, began_ns)
                        return
                except OSError:
                    self.give_up(phase, began_ns)
                    raise
            ended_ns = now_ns()
            if not data:
                self.give_up(phase, began_ns)
                if not cell[STOP]:
                    self.broken = "it closed a data connection"
                return
            done += 1
            cell[BYTES] = done
            self.note(phase, ended_ns - began_ns)

    def note(self, phase: int, took_ns: int) -> None:
        """Record a transaction that began in `phase` and was answered."""
        if self.counts(phase):
            self._times_ns.append(took_ns)
            if len(self._times_ns) >= _BATCH:
                self._fold()

    def counts(self, phase: int) -> bool:
        """Whether a transaction that began in `phase` and ends now lies in the measured time, at least in part."""
        return phase != OVER and self.cell[PHASE] != OMITTED

    def give_up(self, phase: int, began_ns: int) -> None:
        """Record a transaction that began in `phase` and will not be answered before the test is over."""
        if self.counts(phase):
            self.given_up.append((began_ns, time.monotonic_ns()))

    def histogram(self) -> Histogram:
        """All recorded times.  Call only after the thread has ended."""
        self._fold()
        return Histogram.merge_all(self._histograms)

    def _fold(self) -> None:
        self._histograms = [
            Histogram.merge_all([*self._histograms, Histogram.of(np.array(self._times_ns, dtype=np.int64))])
        ]
        self._times_ns.clear()
