"""The experiment of --find: searches with the real planner on scripted servers whose capacity is known."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coordinator.experiment.api import Answer, Next
from coordinator.experiment.executor import Outcome, execute
from coordinator.experiment.find import FindCapacity
from coordinator.output.judged import Judged
from coordinator.record.document import header_of, result_of, unfinished
from coordinator.record.find_result import Find, FindStep, Wanted
from loadgen.model.errors import FleetError, LoadgenError, PlanError, TargetError
from loadgen.model.plan import QUICK, SpecPlan
from loadgen.verdict.capacity import Found, Search
from loadgen.verdict.result import Verdict
from tests.support import finds, https, results

ONCE = dataclasses.replace(QUICK, iterations=1)
PLANS: dict[Wanted, Any] = {
    Wanted.CONNECTIONS: SpecPlan(vms=4, connections=20, phases=ONCE),
    Wanted.VMS: SpecPlan(vms=4, connections=20, phases=ONCE),
    Wanted.RATE: dataclasses.replace(https.OPEN, rate_per_s=100.0, duration_ns=ONCE.total_ns),
}
GOOD: dict[bool, Any] = {True: (https.header(), https.result()), False: (results.header(), results.run_result())}
FLOOR, LINE = 320.0, 400.0
PLANNED_S = ONCE.total_ns / 1e9

Server = Callable[[int, random.Random], Verdict]


def holds(good: bool) -> Verdict:
    return Verdict.CONFORMING if good else Verdict.NOT_CONFORMING


def shared(connections: int, noise: float = 0.0) -> Server:
    """A rate that all connections share, with which that many reach the floor; it differs from run to run."""
    whole = FLOOR * (connections + 0.5)

    def run(value: int, chance: random.Random) -> Verdict:
        return holds(min(LINE, whole * (1 + chance.gauss(0, noise)) / value) >= FLOOR)

    return run


def host_of(vms: int) -> Server:
    """A host on which that many VMs get the CPU that they need."""
    return lambda value, chance: holds(value <= vms)


def now_and_then_invalid(server: Server) -> Server:
    return lambda value, chance: Verdict.INVALID if chance.random() < 0.1 else server(value, chance)


def judged(step: Next[Any], verdict: Verdict, wanted: Wanted, took_s: float = 30) -> Judged[Any, Any]:
    began, ended = (f"2026-02-03T04:{at // 60:02d}:{at % 60:02d}+00:00" for at in (0, round(took_s)))
    header, result = GOOD[wanted is Wanted.RATE]
    return Judged(
        path=Path(step.record),
        document={"started_at": began, "finished_at": ended},
        header=dataclasses.replace(header, plan=step.plan),
        result=dataclasses.replace(result, verdict=verdict),
    )


def search(
    wanted: Wanted, server: Server, seed: int, took_s: Callable[[Verdict], float] = lambda verdict: 30, **rules: Any
) -> tuple[Find, list[float]]:
    """The result of a search, and the time that was said to be left before each run."""
    chance, plan, left_s = random.Random(seed), PLANS[wanted], list[float]()
    start = {Wanted.CONNECTIONS: 20, Wanted.VMS: 4, Wanted.RATE: 100}[wanted]
    experiment: FindCapacity[Any] = FindCapacity(plan, wanted, Search(start=start, **rules))
    done: list[Judged[Any, Any]] = []
    while isinstance(step := experiment.plan(done), Next):
        left_s.append(experiment.progress(done).left_ns / 1e9)
        verdict = server(_number(step.plan, wanted), chance)
        done.append(judged(step, verdict, wanted, took_s(verdict)))
    assert isinstance(step.result, Find)
    return step.result, left_s


def _number(plan: Any, wanted: Wanted) -> int:
    number = {"connections": "connections", "vms": "vms", "rate": "rate_per_s"}[wanted.value]
    return int(getattr(plan, number))


SERVERS: dict[str, tuple[Wanted, Server, int]] = {
    "137 connections": (Wanted.CONNECTIONS, shared(137), 137),
    "137 connections, roughly": (Wanted.CONNECTIONS, shared(137, 0.01), 137),
    "11 VMs": (Wanted.VMS, host_of(11), 11),
    "800/s": (Wanted.RATE, lambda value, chance: holds(value <= 800), 800),
    "800/s, roughly": (Wanted.RATE, lambda value, chance: holds(value <= chance.gauss(800.5, 8)), 800),
}


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("invalid", [False, True], ids=["", "with invalid runs"])
def test_the_known_capacity_of_scripted_servers_is_found(name: str, invalid: bool) -> None:
    wanted, server, capacity = SERVERS[name]
    found = [search(wanted, now_and_then_invalid(server) if invalid else server, seed)[0] for seed in range(20)]
    within = [one.capacity.low <= capacity <= (one.capacity.high or capacity) for one in found]
    assert sum(within) >= 19
    if not invalid and "roughly" not in name:
        assert all(one.capacity.found is Found.EXACT for one in found)


def test_a_noisy_capacity_widens_the_interval() -> None:
    widths = [
        sum(
            one.capacity.high - one.capacity.low
            for one in (search(Wanted.CONNECTIONS, shared(137, noise), seed)[0] for seed in range(10))
        )
        for noise in (0.0, 0.01, 0.05, 0.2)
    ]
    assert widths == sorted(widths)
    assert widths[-1] > 10 * max(1, widths[0])


def test_an_oscillating_capacity_is_said() -> None:
    runs = iter(range(1000))
    found, _ = search(Wanted.VMS, lambda value, chance: holds(value <= (10, 10, 26)[next(runs) % 3]), 1)
    assert found.capacity.found is Found.VARYING
    assert any(text.startswith("the curve is not monotonic") for text in found.reasons)
    assert any(text.startswith("the capacity varies from run to run") for text in found.reasons)
    assert any(text.startswith("the smallest number with a run that does not conform is 1") for text in found.reasons)


@pytest.mark.parametrize("name", SERVERS)
def test_the_time_that_is_said_to_be_left_is_about_right(name: str) -> None:
    """Runs that fail end early.  The search does not know its upper end at first, and learns how long runs take."""
    wanted, server, _ = SERVERS[name]
    took = {Verdict.CONFORMING: 29.0, Verdict.NOT_CONFORMING: 15.0}
    for seed in range(10):
        found, said = search(wanted, server, seed, took.__getitem__)
        times = [step.took_s or 0.0 for step in found.steps]
        left = [sum(times[at:]) for at in range(len(times))]
        assert 0.5 <= said[0] / left[0] <= 2
        if found.capacity.found is Found.EXACT:
            assert all(0.5 <= says / true <= 2 for says, true in zip(said[:-2], left[:-2], strict=True))
        else:  # it is not known before that runs will disagree, which takes more runs
            assert 0.4 <= said[-4] / left[-4] <= 2.5


def failing(
    above: int, error: LoadgenError, wanted: Wanted = Wanted.VMS, capacity: int = 100
) -> tuple[Outcome, list[Next[Any]]]:
    """A search in which runs above a number do not start."""
    steps: list[Next[Any]] = []

    async def play(step: Next[Any]) -> Judged[Any, Any]:
        steps.append(step)
        value = _number(step.plan, wanted)
        if value <= above:
            return judged(step, holds(value <= capacity), wanted)
        assert step.not_started is not None
        result = step.not_started(error)
        if result is None:
            raise error
        return Judged(path=Path(step.record), document={}, header=results.header(), result=result)

    experiment: FindCapacity[Any] = FindCapacity(PLANS[wanted], wanted, Search(start=4))
    return asyncio.run(execute(experiment, play=play, say=lambda text: None, on_done=lambda done: None)), steps


def test_vms_that_do_not_start_are_an_answer() -> None:
    outcome, _ = failing(11, TargetError("vm12 did not start: no memory"))
    found = outcome.answer.result
    assert isinstance(found, Find)
    assert outcome.failed is None
    assert (found.capacity.found, found.capacity.value) == (Found.EXACT, 11)
    assert found.reasons[:3] == (
        "4 of 4 runs conform at 11 VMs",
        "0 of 4 runs conform at 12 VMs",
        "12 VMs did not start: vm12 did not start: no memory",
    )
    assert [step.started for step in found.steps] == [step.value <= 11 for step in found.steps]


def test_a_port_that_is_taken_bounds_the_number_of_vms() -> None:
    found = failing(6, PlanError("port 9007 on 127.0.0.1 is taken"))[0].answer.result
    assert isinstance(found, Find)
    assert (found.capacity.found, found.capacity.value) == (Found.EXACT, 6)
    assert "7 VMs did not start: port 9007 on 127.0.0.1 is taken" in found.reasons


def test_load_machines_that_cannot_carry_their_share_are_a_lower_bound() -> None:
    error = FleetError("no load machine can carry its share", of_generator=True)
    found = failing(30, error, Wanted.CONNECTIONS)[0].answer.result
    assert isinstance(found, Find)
    assert (found.capacity.found, found.capacity.value, found.capacity.invalid_above) == (Found.AT_LEAST, 30, True)


def test_that_not_even_one_vm_starts_is_an_answer_too() -> None:
    found = failing(0, TargetError("no memory"))[0].answer.result
    assert found.verdict is Verdict.NOT_CONFORMING
    assert "1 VM did not start: no memory" in found.reasons


@pytest.mark.parametrize("wanted", [Wanted.VMS, Wanted.CONNECTIONS])
def test_a_limit_of_the_load_generator_is_a_lower_bound(wanted: Wanted) -> None:
    error = PlanError("each of 2 engines needs 2,000 open files", of_generator=True)
    outcome, _ = failing(30, error, wanted)
    found = outcome.answer.result
    assert isinstance(found, Find)
    assert (found.capacity.found, found.capacity.value, found.capacity.invalid_above) == (Found.AT_LEAST, 30, True)
    assert "each of 2 engines needs 2,000 open files" in found.reasons[1]


@pytest.mark.parametrize(
    ("error", "wanted", "above"),
    [
        (PlanError("nginx is not installed"), Wanted.VMS, 0),  # nothing ever started: wrong usage
        (FleetError("h2 cannot be reached"), Wanted.VMS, 8),  # may be better later: the search can be resumed
        (TargetError("192.0.2.1:80 does not answer"), Wanted.CONNECTIONS, 8),
    ],
)
def test_other_errors_stop_the_search(error: LoadgenError, wanted: Wanted, above: int) -> None:
    if above == 0:
        with pytest.raises(PlanError):
            failing(above, error, wanted)
        return
    outcome, _ = failing(above, error, wanted)
    assert outcome.failed is error
    assert len(outcome.done) == 2


def test_a_run_that_was_not_valid_is_played_again_in_its_full_length() -> None:
    chance = iter([Verdict.INVALID, Verdict.CONFORMING])
    experiment: FindCapacity[Any] = FindCapacity(PLANS[Wanted.VMS], Wanted.VMS, Search(start=4))
    done: list[Judged[Any, Any]] = []
    early = []
    for verdict in chance:
        step = experiment.plan(done)
        assert isinstance(step, Next)
        early.append((step.record, step.ends_early))
        done.append(judged(step, verdict, Wanted.VMS))
    assert early == [("vms-4", True), ("vms-4-2", False)]
    last = experiment.plan(done)
    assert isinstance(last, Next)
    assert (last.record, last.ends_early) == ("vms-8", True)


def test_a_search_goes_on_from_its_record() -> None:
    """The record keeps what the planner needs: also of runs that were stopped early, or did not start."""
    whole, _ = search(Wanted.VMS, host_of(11), 1)
    for count in range(len(whole.steps)):
        steps = tuple(dataclasses.replace(step, stopped_early=step.value > 11) for step in whole.steps[:count])
        begun = dataclasses.replace(whole, steps=steps)
        document = unfinished(finds.header(), begun)
        read = result_of(document)
        assert isinstance(read, Find)
        assert read.steps == begun.steps
        again: FindCapacity[Any] = FindCapacity(PLANS[Wanted.VMS], read.wanted, read.search)
        done = [Judged(path=Path(), document={}, header=header_of(document), result=step) for step in read.steps]
        step = again.plan(done)
        assert isinstance(step, Next)
        assert _number(step.plan, Wanted.VMS) == whole.steps[count].value


def test_a_search_of_16_cores_takes_less_than_ten_minutes() -> None:
    """Runs of the quick profile with one iteration, whose servers take 0.1 s per VM to start and to end.

    A run that fails ends as early as its servers are slow: with the CPU of the host shared, at the moment at which a
    connection has lost a fifth of the window's bits.
    """
    for capacity in (5, 11, 16, 37, 60, 100):
        left_s = 600.0
        found = Find(wanted=Wanted.VMS, search=Search(start=16))
        while (value := found.search.next([step.trial for step in found.steps])) is not None:
            lost = max(0.0, 1 - capacity / value)  # of the line's speed
            early = min(1.0, 0.2 / lost) if lost else 1.0
            took = 2 + 0.1 * value + PLANNED_S - (1.5 + 20 * (1 - early) if value > capacity else 0)
            step = FindStep(
                value=value,
                record="",
                verdict=holds(value <= capacity),
                reasons=(),
                asked=0,
                reached=None,
                p99_ms=None,
                took_s=took,
            )
            found = dataclasses.replace(found, steps=(*found.steps, step))
            left_s -= took
        assert found.capacity.low <= capacity <= found.capacity.high
        assert left_s > 0, (capacity, left_s, len(found.steps))


def test_an_answer_ends_the_search() -> None:
    experiment: FindCapacity[Any] = FindCapacity(PLANS[Wanted.VMS], Wanted.VMS, Search(start=4, runs=1))
    first = experiment.plan(())
    assert isinstance(first, Next)
    assert isinstance(experiment.plan((judged(first, Verdict.CONFORMING, Wanted.VMS),)), Answer)
