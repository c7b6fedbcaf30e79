"""What the report says of the limit: the servers, the load generator, or neither."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest

from loadgen.measure.cells import Cell
from loadgen.measure.snapshot import Snapshot
from loadgen.model.http_plan import HttpPlan
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_S
from loadgen.verdict.http_result import HttpResult
from loadgen.verdict.overload import Asking, OfRun, say_limit
from loadgen.verdict.result import Trust, Verdict
from loadgen.verdict.time_shares import TimeShares
from tests.support.canaries import heard, seen
from tests.support.https import OPEN, PLAN, queued, result, snapshots

ASKED = dataclasses.replace(OPEN, rate_per_s=200.0, duration_ns=10 * NS_PER_S, slos=())
ONE = dataclasses.replace(ASKED, requests=PLAN.requests[:1])
CLOSED = dataclasses.replace(PLAN, slos=("p99<20ms",))


def given() -> list[Snapshot]:
    """A run that asks for five times what its server does."""
    return queued(ONE, 0.1)


def limits(found: HttpResult) -> list[str]:
    return [reason for reason in found.reasons if " the limit" in reason]


def said(plan: HttpPlan, given: Sequence[Snapshot], **changes: Any) -> str:
    """The one sentence on the limit; "" without one."""
    (*others, last) = limits(result(plan, given=given, **changes)) or [""]
    assert not others
    return last


def test_a_queue_that_is_left_names_the_rates_the_busy_connections_and_what_they_carry() -> None:
    assert said(ONE, given()) == (
        "The replies of the server, not the load generator, were the limit: 200 requests/s were due and 39.6/s "
        "completed; 1,600 still waited at the end, because no connection was free. All 4 connections were busy 99.9 % "
        "of the time: a request took 99.9 ms from sent to done (mean), and with that 4 connections carry 40/s at most. "
        "With more connections, the servers may do more."
    )


def test_shed_requests_are_named() -> None:
    assert "; 1,590 were shed and 10 still waited at the end, " in said(ASKED, queued(ASKED, 0.1, backlog=5))


def test_it_is_said_whatever_the_objectives_are_and_changes_no_verdict() -> None:
    found = result(ASKED, given=queued(ASKED, 0.1))
    assert found.verdict is Verdict.CONFORMING
    assert len(limits(found)) == 1
    assert found.reasons[-1] == limits(found)[0]


def test_nothing_is_said_of_a_rate_that_the_servers_kept() -> None:
    assert not said(ASKED, queued(ASKED, 0.004))


def test_a_few_requests_that_wait_at_the_end_are_no_overload() -> None:
    few = dataclasses.replace(ONE, connections=1, rate_per_s=10.0, duration_ns=2 * NS_PER_S)
    assert not said(few, queued(few, 0.11))  # one of 20 waits


def test_only_the_overloaded_target_is_named() -> None:
    plan = dataclasses.replace(ASKED, rate_per_s=110.0)  # three quarters of it for three quarters of the connections
    assert said(plan, queued(plan, 0.1)).startswith("The replies of the servers, ")
    uneven = dataclasses.replace(
        plan, requests=(dataclasses.replace(plan.requests[0], weight=30), plan.requests[1]), connections=20
    )
    assert said(uneven, queued(uneven, 0.22)).startswith(
        f"The replies of {uneven.targets[0].name}, not the load generator, were the limit: "
    )


def test_streams_are_not_called_connections() -> None:
    cell = Cell.merge_all(one.cells[0, 0] for one in given())
    busy = TimeShares(service=1.0, pacing=0.0, lateness=0.0, rest=0.0, failed=0.0, unfinished=0.0, absent=0.0, idle=0.0)
    asking = [Asking(name="a", due=2000, cell=cell, connections=4, time=busy)]
    text = say_limit(asking, OfRun(10.0, open_loop=True, slots="streams"), (), Trust(checks=()))
    assert "because no stream was free. All 4 streams were busy 100 % of the time" in text
    assert "connection" not in text


@pytest.mark.parametrize("slo", ["p99<50ms", "mean<50ms", "max<50ms"])
def test_slow_replies_to_a_rate_that_was_kept_are_told_from_waits(slo: str) -> None:
    plan = dataclasses.replace(ONE, rate_per_s=20.0, slos=(slo,))
    text = said(plan, queued(plan, 0.06))
    assert "a request took 60 ms from sent to done, and waited less than 0.01 ms for a free connection." in text


def test_a_closed_loop_that_misses_an_objective_of_speed_waited_for_replies() -> None:
    text = said(CLOSED, snapshots(CLOSED))
    assert text == (
        "The replies of the servers, not the load generator, were the limit: all 4 connections waited for "
        "replies 100 % of the time: a request took 50 ms from sent to done (mean), and with that 4 connections carry "
        "80/s at most. With more connections, the servers may do more."
    )
    rate = dataclasses.replace(PLAN, slos=("rate>2000/s",))
    assert said(rate, snapshots(rate)) == text


def test_nothing_is_said_of_a_closed_loop_whose_objectives_of_speed_hold() -> None:
    assert not said(PLAN, snapshots(PLAN))
    plan = dataclasses.replace(PLAN, slos=("p99<1s", "errors<1%"))
    assert not said(plan, snapshots(plan, outcomes={3: Outcome.BAD_STATUS, 9: Outcome.BAD_STATUS}))


def test_failed_requests_that_took_the_time_are_told_instead_of_what_connections_carry() -> None:
    plan = dataclasses.replace(PLAN, slos=("p99<20ms",))
    text = said(plan, snapshots(plan, outcomes=dict.fromkeys(range(0, 160, 2), Outcome.TIMED_OUT)))
    assert text.endswith(" waited for replies 100 % of the time, 50 % with requests that failed.")


def test_an_overloaded_load_generator_is_never_told_as_the_servers() -> None:
    found = result(ONE, given=queued(ONE, 0.1, cpu=0.96))
    assert found.verdict is Verdict.INVALID
    assert limits(found) == [
        "The client was the limit: 200 requests/s were due and 39.6/s completed; the servers may do more."
    ]
    assert not any("replies came more slowly" in note for note in found.notes)


def test_a_check_that_convicts_no_engine_leaves_the_limit_open() -> None:
    hot = [dataclasses.replace(one, health=dataclasses.replace(one.health, still_ns=NS_PER_S // 4)) for one in given()]
    assert said(ONE, hot).endswith(
        "requests/s were due and 39.6/s completed: whether the servers or the load generator were the limit is not "
        "known."
    )


def test_service_times_that_are_the_clients_own_blame_nobody() -> None:
    assert not said(CLOSED, snapshots(CLOSED), canaries=(heard(seen(added_ms=20.0)),))
    assert not said(ONE, given(), canaries=(heard(seen(added_ms=30.0)),))


def test_without_a_canary_a_busy_engine_blames_nobody() -> None:
    assert said(ONE, queued(ONE, 0.1, cpu=0.4), canaries=())
    assert not said(ONE, queued(ONE, 0.1, cpu=0.6), canaries=())


def test_lost_load_explains_itself() -> None:
    assert not said(ONE, given(), lost={"local/0": "it is silent"})
