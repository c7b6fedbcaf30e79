"""A server that stops to answer in the middle of a request/response test, while its control connection lives."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable, Iterator

import pytest

from loadgen.measure.throughput import ProbeResult
from loadgen.model.probe import Kind
from loadgen.model.units import NS_PER_MS
from loadgen.probe.rr import Echo
from loadgen.probe.session import Session
from loadgen.probe.streams import STOP
from tests.support.probe_steps import played
from tests.support.probes import short

ANSWERS = 200


@pytest.fixture
def silent_after(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Makes every RR connection of the server, and all CRR connections together, answer so often and then no more."""
    held: list[socket.socket] = []
    yield lambda count: _silence(monkeypatch, count, held)
    for sock in held:
        sock.close()


def _silence(monkeypatch: pytest.MonkeyPatch, count: int, held: list[socket.socket]) -> None:
    def work(self: Echo) -> None:
        answered = 0
        while not self.cell[STOP]:
            try:
                data = self.sock.recv(1)
            except BlockingIOError:
                continue
            if not data:
                return
            if answered < count:
                self.sock.send(data)
                answered += 1

    offer, offered = Session.offer, itertools.count()

    def hold(self: Session, sock: socket.socket) -> bool:
        if not self._answers or next(offered) < count:
            return offer(self, sock)
        held.append(sock)
        return True

    monkeypatch.setattr(Echo, "work", work)
    monkeypatch.setattr(Session, "offer", hold)


def ping_pong(kind: Kind, parallel: int, **changes: int) -> ProbeResult:
    result, _ = played(short(kind=kind, parallel=parallel, **{"duration_ns": 400 * NS_PER_MS, **changes}))
    return result


def test_a_connection_that_stalls_to_the_end_is_a_lower_bound(silent_after: Callable[[int], None]) -> None:
    silent_after(ANSWERS)
    found = ping_pong(Kind.RR, 2).latency
    assert (found.transactions, found.unanswered, found.failed) == (2 * ANSWERS, 2, 0)
    assert "p99_ns" in found.lower_bounds
    assert found.p99_ns > 100 * NS_PER_MS
    assert found.stalled_ns > 2 * 100 * NS_PER_MS


def test_a_server_that_never_answers_is_a_lower_bound_throughout(silent_after: Callable[[int], None]) -> None:
    silent_after(0)
    found = ping_pong(Kind.RR, 1, omit_ns=100 * NS_PER_MS).latency
    assert (found.transactions, found.unanswered) == (0, 1)
    assert found.p50_ns >= 500 * NS_PER_MS
    assert found.lower_bounds == ("p50_ns", "p90_ns", "p99_ns", "max_ns")


def test_connections_under_way_at_the_end_are_lower_bounds(silent_after: Callable[[int], None]) -> None:
    """Sixteen at once, the first ones answered: those that hang fail after 2 s, which the test does not last."""
    silent_after(ANSWERS)
    found = ping_pong(Kind.CRR, 16).latency
    assert found.transactions == ANSWERS
    assert found.unanswered == 16
    assert "p99_ns" in found.lower_bounds


@pytest.mark.parametrize("kind", [Kind.RR, Kind.CRR])
def test_a_server_that_answers_leaves_nothing_unanswered(kind: Kind) -> None:
    found = ping_pong(kind, 4).latency
    assert (found.unanswered, found.lower_bounds) == (0, ())
