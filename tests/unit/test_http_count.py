"""`loadgen http -n`: the plan, the part of each engine, and the length of the window."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from coordinator.kinds.http.kind import HttpKind
from coordinator.run.tapes import assignments
from coordinator.run.timeline import Timeline
from loadgen.agent import duty
from loadgen.engine.api import Arrivals, Assignment
from loadgen.model.errors import PlanError
from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_request import HttpRequest
from loadgen.model.plan import Phases
from loadgen.model.stages import Stage
from loadgen.model.units import NS_PER_S
from loadgen.schedule.placement import Placement
from tests.support.arrivals import offsets_ns
from workloads.http.compile import compile_http


def plan_of(**options: Any) -> HttpPlan:
    return HttpPlan(requests=(HttpRequest(url="http://127.0.0.1/"),), **options)


def read(**data: Any) -> HttpPlan:
    return HttpPlan.from_dict({"requests": [{"url": "http://127.0.0.1/"}], **data})


def assigned(plan: HttpPlan, worker_of: list[int]) -> list[Assignment]:
    placement = Placement(("a", "b", "c")[: max(worker_of) + 1], np.array(worker_of, np.int32))
    kind = HttpKind()
    return assignments(kind, plan, kind.asked(plan, plan.targets), placement, compile_http(plan))


def test_the_number_is_shared_out_exactly_by_connections() -> None:
    plan = plan_of(connections=6, total_requests=101)
    parts = [one.load.requests for one in assigned(plan, [0, 1, 2, 2, 2, 1])]
    assert sum(parts) == 101
    assert parts == [16, 34, 51]


def test_an_open_loop_shares_the_number_by_its_parts() -> None:
    plan = plan_of(connections=3, total_requests=11, rate_per_s=100.0)
    given = [one.load.arrivals for one in assigned(plan, [0, 1, 2])]
    due = [
        offsets_ns(rate_per_s=100, poisson=False, seed=1, part=one.part, parts=3, length_ns=NS_PER_S, total=one.total)
        for one in given
        if one is not None
    ]
    assert [len(one) for one in due] == [4, 4, 3]


def test_a_rate_that_the_engines_cannot_count_is_refused() -> None:
    with pytest.raises(PlanError, match=r"the rate of 2,097,153/s is too high for 2 engines") as refused:
        assigned(plan_of(connections=2, rate_per_s=2_097_153), [0, 1])
    assert "use 3 engines" in str(refused.value.hint)
    assert len(assigned(plan_of(connections=2, rate_per_s=2_097_152), [0, 1])) == 2
    steep = plan_of(connections=2, stages=(Stage(duration_ns=NS_PER_S, rate_per_s=1_048_577.0),))
    with pytest.raises(PlanError, match=r"the rate of 1,048,577/s is too high for one engine"):
        assigned(steep, [0, 0])


@pytest.mark.parametrize("poisson", [False, True])
def test_the_first_operations_are_the_same_with_and_without_a_number(poisson: bool) -> None:
    setup: dict[str, Any] = {
        "rate_per_s": 1000,
        "poisson": poisson,
        "seed": 7,
        "part": 1,
        "parts": 2,
        "length_ns": NS_PER_S,
    }
    few = offsets_ns(**setup, total=101)
    assert len(few) == 50
    assert np.array_equal(few, offsets_ns(**setup)[:50])


def test_a_number_that_is_not_reached_within_the_segment_changes_nothing() -> None:
    setup: dict[str, Any] = {
        "rate_per_s": 10,
        "poisson": False,
        "seed": 7,
        "part": 0,
        "parts": 1,
        "length_ns": NS_PER_S,
    }
    assert np.array_equal(offsets_ns(**setup, total=1000), offsets_ns(**setup))


def test_machines_of_a_fleet_get_their_own_parts() -> None:
    """All workers share one plan; what differs between them once was that of the first one."""
    given = assigned(plan_of(connections=3, rate_per_s=100.0, total_requests=10), [0, 1, 2])
    shared = {name: value for name, value in given[0].to_wire().items() if name not in ("worker", "shard")}
    shared["own"] = {one.worker: one.own for one in given}
    common, own = duty._read_plan(duty.pack_plan(shared))
    arrivals = [common.with_own(*own[worker]).load.arrivals for worker in ("a", "b", "c")]
    assert [one.part for one in arrivals if isinstance(one, Arrivals)] == [0, 1, 2]


def test_a_plan_with_a_number_has_an_hour_and_no_more_connections_than_requests() -> None:
    plan = read(total_requests=10)
    assert (plan.connections, plan.duration_ns) == (10, 3600 * NS_PER_S)
    assert read(total_requests=1000).connections == 64
    assert read(total_requests=10, connections=3, duration_ns=NS_PER_S).duration_ns == NS_PER_S
    assert HttpPlan.from_dict(plan.to_dict()) == plan
    assert "total_requests" not in plan_of().to_dict()


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"total_requests": 3, "connections": 4}, "3 requests .* 4 connections"),
        ({"total_requests": -1}, "must be 1 to"),
        ({"total_requests": 10**16}, "must be 1 to"),
        ({"total_requests": 100, "warmup_ns": NS_PER_S}, "warm-up"),
    ],
)
def test_senseless_numbers_are_refused_in_one_line(wrong: dict[str, Any], word: str) -> None:
    with pytest.raises(PlanError, match=word) as caught:
        plan_of(**wrong)
    assert "\n" not in caught.value.message


def timeline_of(done: dict[str, int]) -> Timeline:
    phases = Phases(ramp_up_ns=0, warmup_ns=0, measure_ns=10 * NS_PER_S, ramp_down_ns=0, iterations=1)
    timeline = Timeline(phases)
    timeline.plan_segment(0, NS_PER_S)
    timeline.done_ns[0] = {worker: NS_PER_S + at_ns for worker, at_ns in done.items()}
    return timeline


@pytest.mark.parametrize(
    ("done", "measured_ns", "is_done"),
    [
        ({"a": 3 * NS_PER_S, "b": 2 * NS_PER_S}, 3 * NS_PER_S, True),
        ({"a": 3 * NS_PER_S, "b": 10 * NS_PER_S}, 10 * NS_PER_S, False),
        ({}, 10 * NS_PER_S, False),
    ],
)
def test_the_window_ends_when_the_last_worker_is_done(done: dict[str, int], measured_ns: int, is_done: bool) -> None:
    timeline = timeline_of(done)
    assert timeline.measured_ns(60 * NS_PER_S) == {0: measured_ns}
    assert timeline.is_done(0) is is_done
