"""Percentiles of request/response times when some transactions were not answered before the test ended."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable

import numpy as np
import pytest

from loadgen.measure.histogram import Histogram
from loadgen.measure.throughput import UNKNOWN
from loadgen.model.units import NS_PER_MS, NS_PER_S, NS_PER_US
from loadgen.probe.latency import Asked, latency
from loadgen.probe.rr import MEASURED, OMITTED, OVER, PHASE, Asker
from tests.support.probes import run, until


def answered(count: int, took_ns: int = 100 * NS_PER_US) -> Histogram:
    return Histogram.of(np.full(count, took_ns, dtype=np.int64))


def test_without_a_stall_every_time_is_exact() -> None:
    found = latency([Asked(answered=answered(100))], 0, NS_PER_S)
    assert (found.transactions, found.unanswered, found.lower_bounds) == (100, 0, ())
    assert (found.p50_ns, found.max_ns) == (100 * NS_PER_US, 100 * NS_PER_US)


def test_a_stall_to_the_end_is_in_the_percentiles_as_a_lower_bound() -> None:
    """10,000 answers in the first second of two, and none in the other: half of what was due waited."""
    one = Asked(answered=answered(10_000), given_up=[(NS_PER_S, 2 * NS_PER_S)])
    found = latency([one], 0, 2 * NS_PER_S)
    assert (found.transactions, found.unanswered, found.stalled_ns) == (10_000, 1, NS_PER_S)
    assert found.p50_ns == 100 * NS_PER_US
    assert found.lower_bounds == ("p90_ns", "p99_ns", "max_ns")
    # At the mean pace of 200 us, 5,000 transactions were due in the stall: the rank of p99 is 150 from the top.
    assert found.p99_ns == pytest.approx(NS_PER_S - 150 * 200 * NS_PER_US, rel=0.001)
    assert found.p90_ns == pytest.approx(NS_PER_S - 1500 * 200 * NS_PER_US, rel=0.001)
    assert found.max_ns == NS_PER_S


def test_a_server_that_never_answers_has_only_lower_bounds() -> None:
    found = latency([Asked(answered=Histogram.EMPTY, given_up=[(0, 3 * NS_PER_S)])] * 2, NS_PER_S, 2 * NS_PER_S)
    assert (found.transactions, found.unanswered, found.stalled_ns) == (0, 2, 2 * NS_PER_S)
    assert {found.p50_ns, found.p90_ns, found.p99_ns, found.max_ns} == {3 * NS_PER_S}
    assert found.lower_bounds == ("p50_ns", "p90_ns", "p99_ns", "max_ns")


def test_one_of_many_connections_that_hangs_is_seen() -> None:
    quick = [Asked(answered=answered(10_000)) for _ in range(9)]
    hung = Asked(answered=answered(1000), given_up=[(NS_PER_S // 10, NS_PER_S)])
    found = latency([*quick, hung], 0, NS_PER_S)
    assert found.unanswered == 1
    assert "max_ns" in found.lower_bounds
    assert found.max_ns == NS_PER_S * 9 // 10


def test_a_transaction_that_was_merely_under_way_says_nothing() -> None:
    one = Asked(answered=answered(100), given_up=[(NS_PER_S - 90 * NS_PER_US, NS_PER_S)])
    found = latency([one], 0, NS_PER_S)
    assert (found.unanswered, found.lower_bounds, found.transactions) == (0, (), 100)


def test_nothing_asked_is_not_known() -> None:
    found = latency([Asked(answered=Histogram.EMPTY)], 0, NS_PER_S)
    assert {found.p50_ns, found.max_ns} == {UNKNOWN}


def asked(play: Callable[[Asker, socket.socket], None]) -> tuple[int, list[int], int]:
    """Run an asker against `play`: its transactions, the waits that it gave up in ms, and its longest time in ms."""

    async def scenario() -> tuple[int, list[int], int]:
        near, far = socket.socketpair()
        asker = Asker(1, near)
        server = threading.Thread(target=play, args=(asker, far))
        asker.start()
        server.start()
        await asyncio.to_thread(server.join)
        await until(lambda: asker.ended)
        await asker.close()
        far.close()
        times = asker.histogram()
        gave_up = [round((ended_ns - began_ns) / NS_PER_MS) for began_ns, ended_ns in asker.given_up]
        return times.total, gave_up, round(times.max_ns / NS_PER_MS)

    return run(scenario)


def answer(far: socket.socket, count: int) -> None:
    for _ in range(count):
        far.send(far.recv(1))


def wait_ms(count: int) -> None:
    threading.Event().wait(count / 1000)


def test_an_asker_notes_what_it_waited_for_at_the_end() -> None:
    def silent_at_the_end(asker: Asker, far: socket.socket) -> None:
        asker.cell[PHASE] = MEASURED
        answer(far, 50)
        wait_ms(200)
        asker.cell[PHASE] = OVER
        asker.stop()

    count, gave_up, _ = asked(silent_at_the_end)
    assert count >= 50 - 1  # the first may have begun before the measured time
    assert len(gave_up) == 1
    assert gave_up[0] >= 200


@pytest.mark.parametrize("finally_answered", [True, False])
def test_a_stall_across_the_omit_boundary_is_not_dropped(finally_answered: bool) -> None:
    """It began in the warm-up; the measured time began while it waited."""

    def stalls(asker: Asker, far: socket.socket) -> None:
        answer(far, 5)
        wait_ms(60)
        asker.cell[PHASE] = MEASURED
        wait_ms(60)
        if finally_answered:
            answer(far, 2)
        asker.cell[PHASE] = OVER
        asker.stop()

    count, gave_up, longest = asked(stalls)
    if finally_answered:
        assert count >= 2
        assert longest >= 120
    else:
        assert count == 0
        assert len(gave_up) == 1
        assert gave_up[0] >= 120


def test_what_lies_in_the_warm_up_or_after_the_end_does_not_count() -> None:
    def outside(asker: Asker, far: socket.socket) -> None:
        assert asker.cell[PHASE] == OMITTED
        answer(far, 5)
        far.recv(1)
        asker.cell[PHASE] = MEASURED
        asker.cell[PHASE] = OVER
        far.send(b"x")
        answer(far, 5)
        asker.stop()

    count, gave_up, _ = asked(outside)
    assert count == 1  # the one across both boundaries
    assert gave_up == []
