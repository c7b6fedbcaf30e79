"""How far the load generator was from being the limit: the rule, and the planner of the runs that it needs."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from coordinator.experiment.api import Answer, Next
from coordinator.experiment.executor import execute
from coordinator.experiment.headroom import CheckHeadroom
from coordinator.fleet.choice import FleetChoice
from coordinator.output.judged import Judged
from coordinator.record.headroom_result import HeadroomResult, Role
from deploy.hosts.inventory import hosts
from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_request import HttpRequest
from loadgen.model.plan import SpecPlan
from loadgen.model.stages import parse_stages
from loadgen.model.units import NS_PER_S
from loadgen.verdict.headroom import Headroom, Limit, Pace, judge_headroom
from loadgen.verdict.result import Check, Trust, Verdict
from tests.support import https, results

PLAN = HttpPlan(requests=(HttpRequest(url="http://192.0.2.7/"),), connections=64)


def played(rng: random.Random, generator_per_s: float, server_per_s: float, engines: int, cores: int) -> Pace:
    """A run in which each engine can do `generator_per_s`, all of them on `cores`, and the servers `server_per_s`."""
    most = generator_per_s * min(engines, cores)
    per_s = min(most, server_per_s) * rng.gauss(1, 0.015)
    return Pace(per_s=per_s, busy=min(1.0, per_s / most * rng.gauss(1, 0.03)))


def trial(seed: int, server: float, *, cores: int = 4, null: float = 5.0) -> Headroom:
    """A check with servers, and a null responder, that can do that multiple of what one engine can."""
    rng = random.Random(seed)
    generator_per_s = rng.uniform(1_000, 100_000)
    return judge_headroom(
        played(rng, generator_per_s, server * generator_per_s, 1, cores),
        played(rng, generator_per_s, server * generator_per_s, 2, cores),
        played(rng, generator_per_s, null * generator_per_s, 1, cores),
    )


@pytest.mark.parametrize("seed", range(10))
def test_a_saturated_generator_is_the_limit_in_each_trial(seed: int) -> None:
    for server in (1.0, 1.3, 4.0):
        for cores in (1, 4):
            assert trial(seed, server, cores=cores).limit is Limit.GENERATOR


@pytest.mark.parametrize("seed", range(10))
def test_an_idle_generator_is_far_from_the_limit_in_each_trial(seed: int) -> None:
    for server in (0.01, 0.2, 0.5):
        found = trial(seed, server)
        assert found.limit is Limit.FAR
        assert found.times == pytest.approx(1 / server, rel=0.1)
        assert not found.at_least


@pytest.mark.parametrize("seed", range(10))
def test_a_null_responder_that_is_the_limit_gives_a_lower_bound(seed: int) -> None:
    found = trial(seed, 0.1, null=0.4)
    assert (found.limit, found.at_least) == (Limit.FAR, True)
    assert trial(seed, 0.5, null=0.5).limit is Limit.UNKNOWN


def pace(per_s: float, busy: float | None = 0.5) -> Pace:
    return Pace(per_s=per_s, busy=busy)


@pytest.mark.parametrize(
    ("run", "more", "alone", "limit"),
    [
        (pace(100, 0.91), pace(100), pace(900, 0.9), Limit.GENERATOR),
        (pace(100, 0.9), pace(100), pace(900, 0.9), Limit.NEAR),
        (pace(100, 0.66), pace(100), pace(900, 0.9), Limit.FAR),
        (pace(100, 0.8), pace(100), pace(109, 0.9), Limit.GENERATOR),
        (pace(100, 0.2), pace(100), pace(105, 0.9), Limit.UNKNOWN),  # idle engines that are at their limit alone
        (pace(100, 0.66), pace(100), pace(105, 0.9), Limit.UNKNOWN),
        (pace(100, 0.8), pace(100), pace(111, 0.9), Limit.NEAR),
        (pace(100, 0.8), pace(100), pace(149, 0.9), Limit.NEAR),
        (pace(100, 0.8), pace(100), pace(149, 0.8), Limit.UNKNOWN),
        (pace(100, 0.8), pace(100), pace(150, 0.8), Limit.NEAR),
        (pace(100, 0.6), pace(100), pace(150, 0.8), Limit.FAR),
        (pace(100, 0.8), pace(111), pace(149, 0.9), Limit.GENERATOR),
        (pace(100, 0.8), pace(111), pace(150, 0.9), Limit.UNKNOWN),  # the two runs contradict each other
        (pace(100, 0.2), pace(111), pace(500, 0.9), Limit.UNKNOWN),
        (pace(100, None), pace(100), pace(500, None), Limit.FAR),
        (pace(100, 0.2), pace(100), None, Limit.FAR),
        (pace(100, 0.2), None, None, Limit.UNKNOWN),
        (pace(100, 0.7), pace(100), None, Limit.UNKNOWN),
        (pace(100, 0.7), pace(120), None, Limit.GENERATOR),
        (pace(0), pace(100), pace(500), Limit.UNKNOWN),
        (None, None, None, Limit.UNKNOWN),
    ],
)
def test_the_rule(run: Pace | None, more: Pace | None, alone: Pace | None, limit: Limit) -> None:
    assert judge_headroom(run, more, alone).limit is limit


def http_run(step: Next[Any], per_s: float, busy: float, verdict: Verdict = Verdict.CONFORMING) -> Judged[Any, Any]:
    """A run with four cores and as many engines as its plan says."""
    result = https.result()
    total = dataclasses.replace(result.total, per_s=per_s, mbit_per_s=per_s * 8e-6 * 1_045)
    trust = Trust(
        checks=(
            Check.at_most("engine CPU", 0.1, 0.9, detail=""),
            Check.at_most("engine runnable", busy, 0.9, detail=""),
        )
    )
    result = dataclasses.replace(result, total=total, trust=trust, verdict=verdict, reasons=("a reason",))
    return Judged(path=Path(step.record), document={}, header=of_engines(https.header(), step), result=result)


def of_engines(header: Any, step: Next[Any], cores: int = 4) -> Any:
    machine = dataclasses.replace(
        header.own_fleet.machines[0], cores=cores, workers=tuple(f"local/{n}" for n in range(step.plan.engines))
    )
    return dataclasses.replace(header, plan=step.plan, fleet=dataclasses.replace(header.own_fleet, machines=(machine,)))


def check(
    experiment: CheckHeadroom[Any], paces: Sequence[tuple[float, float]], verdict: Verdict = Verdict.CONFORMING
) -> tuple[HeadroomResult, list[Next[Any]]]:
    """Play the experiment; the paces are those of its runs in order."""
    steps: list[Next[Any]] = []

    async def play(step: Next[Any]) -> Judged[Any, Any]:
        steps.append(step)
        per_s, busy = paces[len(steps) - 1]
        if isinstance(step.plan, SpecPlan):
            return spec_run(step, per_s)
        return http_run(step, per_s, busy, verdict)

    outcome = asyncio.run(execute(experiment, play=play, say=lambda _: None, on_done=lambda _: None))
    assert isinstance(outcome.answer.result, HeadroomResult)
    return outcome.answer.result, steps


def spec_run(step: Next[Any], per_s: float) -> Judged[Any, Any]:
    result = results.run_result()
    iterations = tuple(
        dataclasses.replace(one, ops_per_s=per_s, kbit_per_s=per_s * 8e-3 * 15_045) for one in result.iterations
    )
    result = dataclasses.replace(result, iterations=iterations)
    return Judged(path=Path(step.record), document={}, header=of_engines(results.header(), step), result=result)


def test_three_runs_answer_for_http() -> None:
    plan = dataclasses.replace(
        PLAN,
        requests=(
            HttpRequest(url="http://192.0.2.7/a", status=404),
            HttpRequest(url="http://192.0.2.8/b", expect="5xx"),
        ),
        slos=("p99<1s",),
        stages=parse_stages("10s:100/s"),
        engines=2,
    )
    result, steps = check(CheckHeadroom(plan, FleetChoice()), [(1_000, 0.1), (990, 0.1), (25_000, 0.95)])
    run, more, alone = steps
    assert [step.record for step in steps] == [role.value for role in Role]
    assert run.plan == plan
    assert more.plan == dataclasses.replace(plan, engines=3)
    assert (more.replies, more.kind, more.fleet) == (None, "", None)
    assert (alone.replies.body_bytes, alone.replies.processes, alone.kind) == (1_000, 1, "http")  # type: ignore[union-attr]
    assert (alone.plan.rate_per_s, alone.plan.stages, alone.plan.slos, alone.plan.engines) == (0, (), (), 2)
    assert alone.plan.duration_ns == 5 * NS_PER_S
    assert [(one.url, one.status, one.expect) for one in alone.plan.requests] == [
        ("http://192.0.2.7/a", 0, ""),
        ("http://192.0.2.8/b", 0, ""),
    ]
    assert result.headroom.limit is Limit.FAR
    assert result.verdict is Verdict.CONFORMING
    assert result.reasons[1].startswith(
        "against a null responder, the load generator alone reaches 25 times the rate: "
    )
    assert result.reasons[1].endswith("25,000 instead of 1,000 requests/s")


def test_a_run_that_seemed_valid_is_not_when_the_generator_was_the_limit() -> None:
    paces = [(1_000, 0.89), (1_700, 0.8), (1_020, 0.95)]
    result, _ = check(CheckHeadroom(PLAN, FleetChoice()), paces)
    assert (result.headroom.limit, result.verdict) == (Limit.GENERATOR, Verdict.INVALID)
    assert "reaches 1.02 times" in result.reasons[1]
    assert result.reasons[2] == "with one engine more (2), the rate changes by +70.0 %"
    degraded, _ = check(CheckHeadroom(PLAN, FleetChoice()), paces, Verdict.DEGRADED)
    assert degraded.verdict is Verdict.DEGRADED


def test_the_user_ends_it() -> None:
    result, steps = check(CheckHeadroom(PLAN, FleetChoice()), [(1_000, 0.1)], Verdict.INTERRUPTED)
    assert (len(steps), result.verdict, result.headroom.limit) == (1, Verdict.INTERRUPTED, Limit.UNKNOWN)


def test_nothing_is_compared_with_a_run_that_completed_nothing() -> None:
    result, steps = check(CheckHeadroom(PLAN, FleetChoice()), [(0, 0.1)], Verdict.NOT_CONFORMING)
    assert (len(steps), result.verdict) == (1, Verdict.NOT_CONFORMING)


def test_runs_that_would_say_nothing_are_left_out() -> None:
    full = dataclasses.replace(PLAN, engines=4)
    result, steps = check(CheckHeadroom(full, FleetChoice()), [(1_000, 0.1), (9_000, 0.9)])
    assert [step.record for step in steps] == ["run", "null-responder"]
    assert steps[1].replies.processes == 2  # type: ignore[union-attr]
    assert result.reasons[2] == "no run with one engine more was played: 4 engines have all 4 cores"
    one = dataclasses.replace(PLAN, connections=1)
    result, _ = check(CheckHeadroom(one, FleetChoice()), [(1_000, 0.1), (9_000, 0.9)])
    assert "engines must be between 1 and 1, the number of connections" in result.reasons[2]
    secured = HttpPlan(requests=(HttpRequest(url="https://192.0.2.7/"),))
    result, steps = check(CheckHeadroom(secured, FleetChoice()), [(1_000, 0.1), (1_000, 0.1)])
    assert [step.record for step in steps] == ["run", "one-engine-more"]
    assert result.headroom.limit is Limit.FAR
    assert result.reasons[2].endswith("the null responder does not speak TLS, and is no proxy")


def test_the_null_responder_does_not_stand_for_pages_of_several_requests() -> None:
    plan = SpecPlan(vms=2, connections=20, workload="banking")
    result, steps = check(CheckHeadroom(plan, FleetChoice()), [(6, 0.1), (6, 0.1)])
    assert [step.record for step in steps] == ["run", "one-engine-more"]
    assert result.reasons[2].endswith("an operation of this workload is several requests")


def test_other_machines_get_one_engine_more_each() -> None:
    choice = FleetChoice(hosts=hosts("a,b"))
    result, steps = check(CheckHeadroom(PLAN, choice), [(1_000, 0.1), (1_500, 0.1)])
    assert [step.record for step in steps] == ["run", "one-engine-more"]
    assert steps[1].fleet == dataclasses.replace(choice, engines=2)
    assert result.reasons[2].endswith("but other machines make the load")


def test_a_spec_run_is_compared_with_the_same_requests_without_pacing() -> None:
    plan = SpecPlan(vms=2, connections=20)
    result, steps = check(CheckHeadroom(plan, FleetChoice()), [(130, 0.1), (130, 0.1), (26_000, 0.9)])
    alone = steps[2]
    assert isinstance(alone.plan, HttpPlan)
    assert alone.plan.connections == 40
    assert alone.replies.body_bytes == 15_000  # type: ignore[union-attr]
    kept, closed = alone.plan.requests
    assert closed.headers == ("Connection: close",)
    assert 0.2 < closed.weight / (kept.weight + closed.weight) < 0.5  # of SPECweb99's mix, 0.37 open a connection
    assert "200 times" in result.reasons[1]


def test_progress_says_how_long_it_takes() -> None:
    experiment = CheckHeadroom(PLAN, FleetChoice())
    assert experiment.progress(()).left_ns == 26 * NS_PER_S
    first = experiment.plan(())
    assert isinstance(first, Next)
    begun = experiment.progress((http_run(first, 1_000, 0.1),))
    assert (begun.runs, begun.left_ns) == (3, 16 * NS_PER_S)
    empty = experiment.answer(())
    assert isinstance(empty, Answer)
    assert empty.result.verdict is Verdict.INTERRUPTED
