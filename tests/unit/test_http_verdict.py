from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest

from loadgen.measure.cells import Cell
from loadgen.measure.histogram import Histogram
from loadgen.measure.snapshot import Snapshot
from loadgen.model.http_plan import HttpPlan
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.verdict.checks.tape.open_lateness import open_lateness
from loadgen.verdict.evidence import Loop, TrustEvidence
from loadgen.verdict.http_result import HttpResult
from loadgen.verdict.result import Check, Verdict
from tests.support.evidence import asked
from tests.support.https import OPEN, PLAN, result, snapshots


def check(found: HttpResult, name: str) -> Check:
    return next(one for one in found.trust.checks if one.name == name)


def of(plan: HttpPlan, given: Sequence[Snapshot]) -> HttpResult:
    return result(plan, given=given)


def test_without_an_objective_the_verdict_depends_on_the_generator() -> None:
    found = result()
    assert found.verdict is Verdict.CONFORMING
    assert found.total.ok == found.sent == 4 * 40
    assert found.total.per_s == 80
    assert [(row.name, row.connections, row.ok) for row in found.targets] == [
        ("192.0.2.1:8080", 3, 120),
        ("https://shop.example:443", 1, 40),
    ]
    assert [(row.name, row.ok) for row in found.requests] == [
        ("GET http://192.0.2.1:8080/index.html", 120),
        ("POST https://shop.example/cart", 40),
    ]


def test_a_missed_objective_is_reported_with_its_numbers() -> None:
    plan = dataclasses.replace(PLAN, slos=("p99<10ms", "rate>1/s"))
    found = of(plan, snapshots(plan))
    assert found.verdict is Verdict.NOT_CONFORMING
    assert int(found.exit_code) == 1
    assert [one.ok for one in found.slos] == [False, True]
    assert "p99 50" in found.reasons[0]
    assert "less than 10 ms" in found.reasons[0]


def test_large_numbers_in_reasons_have_their_thousands_separated() -> None:
    plan = dataclasses.replace(PLAN, duration_ns=40 * NS_PER_S, slos=("p99<1001ms", "p50<1s", "rate>12345/s"))
    found = of(plan, snapshots(plan, service_ms=13_333.0))
    assert found.reasons[:3] == (
        "Objective missed: p99 13,333 ms, but less than 1,001 ms is allowed (of 12 requests).",
        "Objective missed: p50 13,333 ms, but less than 1,000 ms is allowed (of 12 requests).",
        "Objective missed: rate 0.3 /s, but more than 12,345 /s is needed (12 requests in 40 s).",
    )


def test_a_client_without_spare_cpu_was_the_limit() -> None:
    plan = dataclasses.replace(PLAN, slos=("rate>1/s",))
    found = of(plan, snapshots(plan, cpu=0.97))
    assert found.verdict is Verdict.INVALID
    assert int(found.exit_code) == 3
    assert "The client was the limit: the servers can do 80 requests/s or more." in found.reasons
    unanswered = of(plan, snapshots(plan, cpu=0.97, outcomes=dict.fromkeys(range(160), Outcome.TIMED_OUT)))
    assert unanswered.verdict is Verdict.INVALID
    assert unanswered.total.ok == 0
    assert not any("The client was the limit" in reason for reason in unanswered.reasons)  # it would be 0 or more


def test_idle_connections_are_detected() -> None:
    good = snapshots(PLAN)
    assert check(of(PLAN, good), "time unaccounted for").ok
    half = [one for one in good if one.interval == 0]
    bad = check(of(PLAN, half), "time unaccounted for")
    assert not bad.ok
    assert bad.value > 40


def test_a_client_that_stalled_in_a_closed_loop_is_invalid() -> None:
    fine = snapshots(PLAN, late_ms=1)
    assert check(of(PLAN, fine), "time lost to lateness").ok
    found = of(PLAN, [fine[0], snapshots(PLAN, late_ms=30)[1]])
    assert not check(found, "time lost to lateness").ok
    assert found.verdict is Verdict.INVALID


def test_the_client_s_share_of_a_closed_loop_is_shown_and_may_be_its_own_work_only() -> None:
    """Beside a busy loop, the engine had its core for 7 % of the time, and connections waited for it for 30 %."""
    disturbed = of(PLAN, snapshots(PLAN, late_ms=15, cpu=0.07))
    share = check(disturbed, "client's share")
    assert share.value == pytest.approx(30, abs=0.1)
    assert share.limit == pytest.approx(17)
    assert disturbed.verdict is Verdict.INVALID
    own_work = check(of(PLAN, snapshots(PLAN, late_ms=15, cpu=0.5)), "client's share")
    assert own_work.value == pytest.approx(30, abs=0.1)
    assert own_work.ok
    assert all(one.name != "client's share" for one in of(OPEN, snapshots(OPEN, service_ms=5)).trust.checks)


@pytest.mark.parametrize("plan", [PLAN, OPEN], ids=["closed", "open"])
def test_an_engine_that_stalled_is_invalid(plan: HttpPlan) -> None:
    def stopped(one: Snapshot, still_ns: int) -> Snapshot:
        return dataclasses.replace(one, health=dataclasses.replace(one.health, still_ns=still_ns))

    fine = snapshots(plan, service_ms=5) if plan is OPEN else snapshots(plan)
    harmless = of(plan, [stopped(one, 40 * NS_PER_MS) for one in fine])
    assert check(harmless, "engine stood still").ok
    found = of(plan, [stopped(one, 60 * NS_PER_MS) for one in fine])
    assert check(found, "engine stood still").value == pytest.approx(6)
    assert found.verdict is Verdict.INVALID


def test_in_an_open_loop_lateness_counts_only_with_free_connections() -> None:
    fine = of(OPEN, snapshots(OPEN, service_ms=5, late_ms=1))
    assert check(fine, "send lateness").ok
    ours = of(OPEN, snapshots(OPEN, service_ms=5, late_ms=40))
    assert not check(ours, "send lateness").ok
    assert ours.verdict is Verdict.INVALID
    # Four connections are busy half of the time: a late operation may have waited for the server.
    theirs = of(OPEN, snapshots(OPEN, service_ms=60, late_ms=40))
    assert all(one.name != "send lateness" for one in theirs.trust.checks)
    assert theirs.verdict is Verdict.NOT_CONFORMING


def test_connections_that_rest_are_not_free() -> None:
    late = Histogram.of(np.full(100, 900 * NS_PER_MS))
    window = dataclasses.replace(Cell.empty(1, 1), lateness=late)

    def judged(cell: Cell) -> Check | None:
        return open_lateness(
            TrustEvidence(
                loop=Loop.OPEN, asked=asked(1, 4), workers=(), whole=cell, window=cell, measured_ns=10 * NS_PER_S
            )
        )

    ours = judged(window)
    assert ours is not None
    assert not ours.ok
    assert judged(dataclasses.replace(window, rest_ns=11 * NS_PER_S)) is None


def test_operations_due_before_the_window_may_keep_connections_busy_in_it() -> None:
    """A server stands still from 0.5 s before the window until 1 s after its opening; then the backlog is sent."""
    waited = Histogram.of(np.linspace(1, 1000, 1000).astype(np.int64) * NS_PER_MS)
    quick = Histogram.of(np.full(3000, 5 * NS_PER_MS))
    window = dataclasses.replace(
        Cell.empty(1, 1), lateness=Histogram.merge_all([waited, Histogram.of(np.full(2000, 100))]), service=quick
    )

    def judged(*earlier_ms: int, late_ms: int = 0) -> Check | None:
        earlier = Histogram.of(np.array(earlier_ms, np.int64) * NS_PER_MS)
        late = Histogram.of(np.full(len(earlier_ms), late_ms * NS_PER_MS))
        whole = dataclasses.replace(
            window,
            service=Histogram.merge_all([quick, earlier]),
            lateness=Histogram.merge_all([window.lateness, late]),
        )
        return open_lateness(
            TrustEvidence(
                loop=Loop.OPEN, asked=asked(1, 64), workers=(), whole=whole, window=window, measured_ns=3 * NS_PER_S
            )
        )

    ours = judged(*[5] * 1000)
    assert ours is not None
    assert not ours.ok
    assert judged(*[1500] * 64, *[5] * 1000) is None  # the server kept all connections busy for a third of the window
    few = judged(*[1500] * 6, *[5] * 1000)
    assert few is not None
    assert not few.ok
    # Operations that waited before the window for a connection kept connections busy in it, one after the other.
    assert judged(*[100] * 2000, late_ms=400) is None
    assert judged(*[100] * 2000) is not None


def test_a_stall_of_the_server_is_not_blamed_on_the_generator() -> None:
    fine = snapshots(OPEN, service_ms=1)
    late = snapshots(OPEN, service_ms=1, late_ms=900)
    found = of(OPEN, [fine[0], late[1]])
    # half of the operations were late while connections were free: the generator was late
    assert not check(found, "send lateness").ok
    plan = dataclasses.replace(OPEN, slos=("max<100ms",))
    stalled = of(plan, [fine[0], snapshots(OPEN, service_ms=900)[1]])
    assert stalled.verdict is Verdict.NOT_CONFORMING


def test_a_run_without_good_replies_does_not_conform() -> None:
    plan = dataclasses.replace(OPEN, slos=())
    failed = dict.fromkeys(range(1000), Outcome.REFUSED)
    found = of(plan, snapshots(plan, service_ms=5, outcomes=failed))
    assert found.verdict is Verdict.NOT_CONFORMING
    assert "most ended as refused" in found.reasons[-1]


def test_shed_operations_are_counted_and_were_not_sent() -> None:
    plan = dataclasses.replace(OPEN, slos=("shed<1%",))
    found = of(plan, snapshots(plan, service_ms=5, outcomes={3: Outcome.SHED, 7: Outcome.SHED}))
    assert found.total.errors == {"SHED": 2}
    assert found.sent == 78
    assert found.slos[0].value == 2.5
    assert found.verdict is Verdict.NOT_CONFORMING


def test_a_lost_worker_degrades_and_an_interrupt_takes_precedence() -> None:
    lost = result(lost={"local/0": "it is silent"})
    assert lost.verdict is Verdict.DEGRADED
    both = result(lost={"local/0": "it is silent"}, interrupted=True, complete=frozenset())
    assert both.verdict is Verdict.INTERRUPTED
    assert len(both.reasons) == 2


def test_without_trust_nothing_looks_like_a_score() -> None:
    """Not even beside a lost worker, whose connections have no time, without being its fault."""
    plan = dataclasses.replace(PLAN, slos=("rate>1/s",))
    both = result(plan, given=snapshots(plan, cpu=0.97), lost={"local/0": "it is silent"})
    assert both.verdict is Verdict.INVALID
    assert both.slos == ()
    assert any("was lost" in reason for reason in both.reasons)
    half = [one for one in snapshots(plan) if one.interval == 0]
    lost = result(plan, given=half, lost={"local/0": "it is silent"})
    assert lost.verdict is Verdict.DEGRADED
    assert [check.ok for check in lost.slos] == [True]


def test_an_operation_that_fails_keeps_its_connection_busy() -> None:
    """Three of four connections wait for time-outs: what is late then waited for the servers, not for us."""
    late = snapshots(OPEN, service_ms=5, late_ms=40)
    assert not check(of(OPEN, late), "send lateness").ok
    failed = snapshots(OPEN, service_ms=60, late_ms=40, outcomes=dict.fromkeys(range(1000), Outcome.TIMED_OUT))
    assert all(one.name != "send lateness" for one in of(OPEN, failed).trust.checks)
