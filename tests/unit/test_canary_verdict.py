"""The trust check of the canaries, its limits, and the line of the report."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from coordinator.output.terminal.canary import canary_lines
from loadgen.measure.canary import CanarySeen
from loadgen.measure.cells import Cell
from loadgen.measure.histogram import Histogram
from loadgen.model.bound import Bound
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.verdict.canary import canary_row, estimate, unknown_row
from loadgen.verdict.checks.tape.canary import canary
from loadgen.verdict.evidence import Loop, TrustEvidence
from loadgen.verdict.result import Check
from tests.support.canaries import seen, tail, times
from tests.support.evidence import asked
from tests.support.https import result


def evidence(loop: Loop, *given: CanarySeen, response_ms: float = 1.0, bound: Bound | None = None) -> TrustEvidence:
    cell = dataclasses.replace(Cell.empty(4, 1), response=times(response_ms, 1000))
    wanted = asked(1, 1) if bound is None else dataclasses.replace(asked(1, 1), bound=bound)
    return TrustEvidence(
        loop=loop,
        asked=wanted,
        workers=(),
        whole=cell,
        window=cell,
        measured_ns=NS_PER_S,
        canaries=[canary_row(0, one) for one in given],
    )


def check(loop: Loop, *given: CanarySeen, response_ms: float = 1.0, bound: Bound | None = None) -> Check:
    found = canary(evidence(loop, *given, response_ms=response_ms, bound=bound))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("loop", "added_ms", "response_ms", "ok"),
    [
        (Loop.OPEN, 1.9, 0.1, True),  # harmless, however fast the servers are
        (Loop.OPEN, 2.1, 0.1, False),
        (Loop.OPEN, 4.9, 10, True),  # less than half of what is measured
        (Loop.OPEN, 5.1, 10, False),
        (Loop.OPEN, 900, 2000, True),  # a saturated server
        (Loop.CLOSED, 3.4, 3.4, True),  # an engine at full speed with 256 connections
        (Loop.CLOSED, 7, 3.4, False),
        (Loop.PACED, 99, 0.1, True),  # operations of seconds may be as late
        (Loop.PACED, 101, 0.1, False),
    ],
)
def test_the_limit_follows_from_what_the_run_measures(
    loop: Loop, added_ms: float, response_ms: float, ok: bool
) -> None:
    assert check(loop, seen(added_ms=added_ms), response_ms=response_ms).ok is ok


def test_under_a_bound_of_a_time_a_paced_engine_may_add_a_tenth_of_it() -> None:
    bound = Bound.parse("time:100ms/200ms")
    assert check(Loop.PACED, seen(added_ms=9), bound=bound).ok
    assert not check(Loop.PACED, seen(added_ms=11), bound=bound).ok


def test_a_stall_that_only_the_tail_shows_is_found() -> None:
    added = Histogram.of(np.array([NS_PER_MS // 10] * 900 + [150 * NS_PER_MS] * 100, np.int64))
    stalled = dataclasses.replace(seen(), added=added)
    assert not check(Loop.OPEN, stalled).ok
    assert "percentile 99" in check(Loop.OPEN, stalled).detail


def test_few_requests_convict_nobody() -> None:
    added = Histogram.of(np.array([NS_PER_MS // 10] * 97 + [150 * NS_PER_MS] * 3, np.int64))
    assert check(Loop.OPEN, dataclasses.replace(seen(), added=added)).ok
    unknown = check(Loop.OPEN, seen(added_ms=500, count=19))
    assert unknown.ok
    assert not unknown.known


def test_one_bad_engine_among_good_ones_is_named() -> None:
    found = check(Loop.OPEN, seen("m/0"), seen("m/1", added_ms=50), seen("m/2", count=0))
    assert not found.ok
    assert found.detail.startswith("engine m/1 adds this to percentile 50")
    assert found.detail.endswith("not known for 1 of 3 engines")


def test_an_unknown_canary_is_unknown_and_says_why() -> None:
    found = canary(
        dataclasses.replace(evidence(Loop.OPEN), canaries=[unknown_row(0, "m/0", "the responder has ended")])
    )
    assert found is not None
    assert math.isnan(found.value)
    assert found.ok
    assert found.detail == "not known: the responder has ended"


def test_a_run_without_canaries_has_no_such_check() -> None:
    assert canary(evidence(Loop.OPEN)) is None


def test_an_estimate_has_an_interval_that_shrinks_with_the_number_of_values() -> None:
    few, many = (estimate(Histogram.of(np.arange(1, n + 1) * (100 * NS_PER_MS // n)), 50) for n in (100, 10_000))
    assert few is not None
    assert many is not None
    assert (round(few.low), round(few.value), round(few.high or 0)) == (35, 50, 65)
    assert (round(many.low, 1), round(many.high or 0, 1)) == (48.5, 51.5)
    tail = estimate(times(1, 100), 99)
    assert tail is not None
    assert tail.high is None, "with 100 values nothing bounds the 99th percentile above"
    assert estimate(Histogram.EMPTY, 50) is None


def test_the_line_of_the_report_is_about_the_worst_engine() -> None:
    rows = [canary_row(0, seen("m/0", added_ms=0.25)), canary_row(0, seen("m/1", added_ms=1.5))]
    (line,) = canary_lines(rows)
    expected = "Canary: the client adds 1.50 ms at the median (to 5.00 ms), 1.50 ms at p99"
    assert line.plain == f"{expected} (the worst of 2 engines)."
    # The check compares p99 of all engines, so a lower one beside it would contradict it.
    (line,) = canary_lines([*rows, canary_row(1, tail("m/0"))])
    expected = "Canary: the client adds 1.50 ms at the median (to 5.00 ms), 25.0 ms at p99"
    assert line.plain == f"{expected} (the worst of 2 engines and 2 windows)."
    assert "unknown" in canary_lines([unknown_row(0, "m/0", "")])[0].plain
    assert canary_lines([]) == []


def test_an_engine_of_which_nothing_was_heard_is_unknown() -> None:
    found = result(canaries=())
    assert [(row.engine, row.requests, row.why) for row in found.canary] == [
        ("local/0", 0, "the machine did not report it")
    ]
    (unknown,) = (one for one in found.trust.checks if one.name == "canary")
    assert not unknown.known
