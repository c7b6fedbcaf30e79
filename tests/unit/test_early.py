"""A run of a search is stopped when its rest cannot change the verdict, and never before."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from coordinator.kinds.http.kind import HttpKind
from coordinator.run.api import Played
from coordinator.run.evidence import TapeMeasured
from coordinator.run.tapes import empty_intake
from loadgen.measure.cells import Cell
from loadgen.measure.fold import FoldContext, fold
from loadgen.measure.histogram import Histogram
from loadgen.measure.snapshot import Snapshot
from loadgen.measure.tally import empty_tallies
from loadgen.model.bound import Bound
from loadgen.model.http_plan import HttpPlan
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_S
from loadgen.schedule.arrivals import due_between
from loadgen.schedule.optape import START_DTYPE
from loadgen.schedule.timings import Timings
from loadgen.verdict.connection import judge_connections
from loadgen.verdict.each_target import check_connections
from loadgen.verdict.early import BestRest, missed_by_connections, missed_by_objectives
from loadgen.verdict.fates import Fates
from loadgen.verdict.result import Verdict
from loadgen.verdict.rules import RULES
from loadgen.verdict.slo import Slo
from tests.support import https
from tests.support.arrivals import offsets_ns
from tests.support.evidence import asked, records

WINDOW_NS, LINE = 20 * NS_PER_S, 400_000
RATE, TIME = Bound.rate(320_000), Bound.time(2 * NS_PER_S, 4 * NS_PER_S)
RING = np.array([900, 15_000, 5_000, 45_000, 300, 102_400, 9_000, 700], np.int64)
TIMINGS = Timings(RING, np.zeros((1, 4), START_DTYPE), doubt_bytes=50)
REST = BestRest.of(TIMINGS, WINDOW_NS, LINE)
BOUNDS = pytest.mark.parametrize("bound", [RATE, TIME], ids=["rate", "time"])


def played(chance: random.Random, slow: float, errors: float, connections: int) -> list[dict[str, int]]:
    """The operations of connections that are served at 1 / `slow` of the line, from before the window to its end."""
    found: list[dict[str, int]] = []
    for connection in range(connections):
        at, row = -int(chance.random() * 5 * NS_PER_S), chance.randrange(len(RING))
        while at < WINDOW_NS:
            size = int(RING[row % len(RING)])
            line_ns = size * 8 * NS_PER_S // LINE
            took_ns = int(line_ns * slow * chance.uniform(0.7, 1.3))
            bad = chance.random() < errors
            outcome = Outcome.BAD_STATUS if bad else Outcome.OK
            done = min(at + took_ns, WINDOW_NS + 1)
            if done > WINDOW_NS and not bad:
                outcome = Outcome.CUT
                size = size * (done - at) // max(took_ns, 1)
            found.append(
                {"due_ns": at, "sent_ns": max(1, at), "done_ns": done, "bytes": size, "connection": connection}
                | {"row": 0, "outcome": int(outcome)}
            )
            at, row = max(done, 0 if bad else at + line_ns), row + 1
            at = max(at, done)
    return found


def tallies_of(operations: Sequence[dict[str, int]], bound: Bound, connections: int, until_ns: int) -> NDArray[np.void]:
    """The tallies of the window from the operations that have ended by `until_ns`."""
    ctx = FoldContext(
        kind=np.zeros(1, np.uint8),
        group=np.zeros(1, np.uint8),
        kinds=1,
        groups=1,
        target_of=np.zeros(connections, np.int32),
        line_bps=LINE,
        bound=bound,
    )
    ended = [one for one in operations if one["done_ns"] <= until_ns]
    # Times are CLOCK_MONOTONIC, so the window begins late enough for all of them to be positive.
    shifted = [
        {**one, **{name: one[name] + 10 * NS_PER_S for name in ("due_ns", "sent_ns", "done_ns")}} for one in ended
    ]
    if not shifted:
        return empty_tallies()
    begin_ns = 10 * NS_PER_S
    _, found = fold(records(*shifted), ctx, window=0, window_start_ns=begin_ns, window_end_ns=begin_ns + WINDOW_NS)
    return np.compress(found["window"] == 0, found)


@BOUNDS
def test_a_run_that_is_stopped_early_would_not_have_conformed(bound: Bound) -> None:
    """Random servers around the limit: what is said of the first seconds is true of the whole window."""
    chance, stopped, failed = random.Random(4), 0, 0
    for _ in range(60):
        connections = chance.choice([1, 4, 20])
        ours = asked(1, connections, bound)
        slow = chance.choice([1.0, 1.15, 1.3, 1.6, 3.0, 8.0])
        operations = played(chance, slow, chance.choice([0, 0, 0.02, 0.5, 1]), connections)
        whole = tallies_of(operations, bound, connections, 10**18)
        checks = check_connections(judge_connections(whole, connections, bound), ours, RULES)
        conforms = all(check.ok for check in checks)
        failed += not conforms
        for second in range(2, 21, 2):
            so_far = tallies_of(operations, bound, connections, second * NS_PER_S)
            if missed_by_connections(so_far, ours, REST) is not None:
                assert not conforms
                stopped += second < 15
                break
    assert stopped > failed / 3  # those that are clear are seen early


def test_servers_at_half_of_the_line_are_seen_before_the_window_is_half_over() -> None:
    operations = [
        {"due_ns": at * NS_PER_S, "sent_ns": at * NS_PER_S + 1, "done_ns": (at + 2) * NS_PER_S, "bytes": 50_000}
        for at in range(0, 20, 2)
    ]
    missed = [
        missed_by_connections(tallies_of(operations, RATE, 1, second * NS_PER_S), asked(1, 1), REST)
        for second in range(21)
    ]
    assert [check is not None for check in missed] == [second >= 10 for second in range(21)]
    assert missed[20] is not None
    assert missed[20].detail.startswith("0 of 1 requested connections conformed (1 too slow)")


def test_the_most_operations_of_a_rest_are_those_of_the_shortest_replies() -> None:
    assert len(REST.operations) == 17
    assert REST.operations[0] == 0
    shortest_ns = (300 - 100) * 8 * NS_PER_S // LINE  # the heads of a server may be shorter than usual
    assert (
        BestRest.of(Timings(RING[4:5], TIMINGS.starts, 50), WINDOW_NS, LINE).operations[16] == WINDOW_NS / shortest_ns
    )
    assert np.all(np.diff(REST.operations) >= 0)


def test_tallies_of_earlier_versions_say_nothing() -> None:
    old = tallies_of(played(random.Random(1), 8.0, 0, 4), RATE, 4, 10**18)
    assert missed_by_connections(old, asked(1, 4), REST) is not None
    for name in ("service_ns", "pacing_ns", "lateness_ns", "rest_ns", "failed_ns", "unfinished_ns"):
        old[name] = 0
    assert missed_by_connections(old, asked(1, 4), REST) is None


SLOS = [
    [Slo.parse(text)] for text in ("p99<50ms", "p50<20ms", "mean<30ms", "max<1s", "errors<5%", "shed<3%", "rate>90/s")
]


@pytest.mark.parametrize("slos", SLOS, ids=lambda slos: slos[0].metric)
def test_an_objective_that_is_missed_early_is_missed_in_the_end(slos: list[Slo]) -> None:
    chance, stopped = random.Random(7), 0
    outcome = Outcome.SHED if slos[0].metric == "shed" else Outcome.BAD_STATUS
    for _ in range(60):
        slow, wrong = chance.choice([0.005, 0.02, 0.05, 0.3, 2]), chance.choice([0, 0.01, 0.2])
        ended = [(chance.expovariate(1 / slow), chance.random() < wrong) for _ in range(1000)]
        end = slos[0].judge(Fates(cell_of(ended, outcome), Histogram.EMPTY), 10.0)
        for count in range(100, 1000, 100):
            if (missed := missed_by_objectives(cell_of(ended[:count], outcome), slos, 1000, 10 * NS_PER_S)) is not None:
                assert not end.ok, (count, missed, end)
                stopped += 1
                break
    assert stopped


def cell_of(ended: Sequence[tuple[float, bool]], outcome: Outcome = Outcome.SHED) -> Cell:
    """Requests with their seconds, and whether they ended with `outcome` instead of well."""
    cell = Cell.empty(1, 1)
    cell.outcomes[Outcome.OK] = sum(not wrong for _, wrong in ended)
    cell.outcomes[outcome] = sum(wrong for _, wrong in ended)
    times = [
        Histogram.of(np.array([round(s * NS_PER_S) for s, wrong in ended if wrong is which], np.int64))
        for which in (False, True)
    ]
    return dataclasses.replace(cell, response=times[0], response_failed=times[1])


def test_a_rate_that_cannot_be_reached_any_more_is_missed() -> None:
    cell = cell_of([(0.01, True)] * 101)
    assert missed_by_objectives(cell, [Slo.parse("rate>=90/s")], 1000, 10 * NS_PER_S) is not None
    assert missed_by_objectives(cell_of([(0.01, True)] * 99), [Slo.parse("rate>=90/s")], 1000, 10 * NS_PER_S) is None


@pytest.mark.parametrize("poisson", [False, True])
def test_what_is_due_in_a_window_is_never_counted_too_low(poisson: bool) -> None:
    for rate, begin_s, end_s in ((7.3, 0.0, 11.0), (1000.0, 2.5, 9.0), (0.4, 1.0, 2.0)):
        begin, end = round(begin_s * NS_PER_S), round(end_s * NS_PER_S)
        found = due_between(begin, end, rate_per_s=rate, poisson=poisson, seed=5)
        parts = [
            offsets_ns(rate_per_s=rate, poisson=poisson, seed=5, part=part, parts=3, length_ns=end) for part in range(3)
        ]
        due = sum(int((part >= begin).sum()) for part in parts)
        assert due < found <= due + 3


PLAN = dataclasses.replace(https.OPEN, duration_ns=20 * NS_PER_S, slos=("p99<50ms",))


def played_for(
    seconds: int, service_ms: float, *, plan: HttpPlan = PLAN, cpu: float = 0.5
) -> Played[HttpPlan, TapeMeasured]:
    """The first seconds of a run of `plan`."""
    header = https.header(plan)
    kind = HttpKind()
    intake = empty_intake(kind.asked(plan, plan.targets), header.own_fleet.placement)
    for snapshot in _first(https.snapshots(plan, service_ms=service_ms, cpu=cpu), seconds):
        intake.receive(snapshot)
    measured = TapeMeasured(intake=intake, measured_ns={0: seconds * NS_PER_S}, complete=frozenset())
    return Played(header=header, measured=measured, interrupted=False)


def _first(snapshots: Sequence[Snapshot], seconds: int) -> Sequence[Snapshot]:
    return [one for one in snapshots if one.interval < seconds]


def test_a_rate_far_beyond_the_limit_ends_early_and_one_that_may_hold_does_not() -> None:
    why = HttpKind().early_end(PLAN, PLAN.targets)
    assert why(played_for(5, 60.0)).startswith("at best, p99 60 ms, but less than 50 ms is allowed")
    assert why(played_for(2, 60.0)) == ""  # figures of so short a time vary
    assert why(played_for(20, 40.0)) == ""


def test_a_run_is_not_stopped_while_its_load_generator_cannot_be_trusted() -> None:
    assert HttpKind().early_end(PLAN, PLAN.targets)(played_for(5, 60.0, cpu=0.97)) == ""


@pytest.mark.parametrize("changes", [{"rate_per_s": 0.0, "slos": ("p99<1ms",)}, {"total_requests": 500}])
def test_a_run_without_a_known_number_of_requests_in_its_window_is_never_stopped(changes: dict[str, object]) -> None:
    plan = dataclasses.replace(PLAN, **changes)  # type: ignore[arg-type]
    assert HttpKind().early_end(plan, plan.targets)(played_for(5, 60.0, plan=plan)) == ""


def test_the_result_of_a_run_that_was_stopped_says_why_and_judges_what_was_played() -> None:
    run = played_for(5, 60.0)
    early = dataclasses.replace(run, measured=dataclasses.replace(run.measured, early="at best, p99 is 60 ms"))
    found = HttpKind().judge(early)
    assert found.verdict is Verdict.NOT_CONFORMING
    assert found.stopped_early == "at best, p99 is 60 ms"
    assert found.reasons[0] == (
        "Stopped after 5 s of the window, because the rest could not change the verdict: at best, p99 is 60 ms."
    )
    assert found.measured_s == 5
    assert found.total.due == 5 * 40  # what was not played is not counted
    assert HttpKind().judge(run).verdict is Verdict.INVALID  # a run that was cut for another reason
