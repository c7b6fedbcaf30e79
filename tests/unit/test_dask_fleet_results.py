"""Results and log lines of a fleet on Dask, on their way to the coordinator."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from coordinator.fleet.api import Start, say_machine_lost
from coordinator.fleet.dask import fleet as fleets
from loadgen.measure.events import CoresShared, EngineLost
from loadgen.model.units import NS_PER_S
from tests.support.dask_doubles import FakeAgent, Scene
from tests.support.scenes import ended, run, segment, until


def test_missing_chunks_are_fetched_and_every_event_is_reported_once() -> None:
    a = FakeAgent("a")

    async def scenario() -> None:
        async with Scene(a).opened() as scene:
            a.happened(ended("a/0", 1))
            a.heartbeat()  # this heartbeat is lost
            a.happened(ended("a/0", 2))
            scene.beat(a)
            assert await scene.events(2) == [ended("a/0", 1), ended("a/0", 2)]
            a.happened(ended("a/0", 3))
            beat = a.heartbeat()
            beat["chunk"]["sha256"] = "0" * 64
            scene.way.line.beat(beat)
            assert await scene.events(1) == [ended("a/0", 3)]
            scene.beat(a, chunk=a.piece(0))  # all data is sent again
            scene.beat(a, problem="its spool could not be written any more")
            a.happened(CoresShared("a", 0.5, "cc1"))
            await scene.fleet.settle()  # without any heartbeat
            assert await scene.events(1) == [CoresShared("a", 0.5, "cc1")]
            pulls = a.count("read_spool")
        assert pulls == 3
        assert ("leave", ("run1", True)) in a.asked
        assert scene.fleet.problems == ["a: its spool could not be written any more"]

    run(scenario)


@pytest.mark.parametrize(
    ("finish", "said"),
    [
        ({"bytes": 10**6}, "byte 47 of its results does not arrive intact"),
        ({"bytes": 0}, "it has 0 bytes of results, but 47 were received"),
        ({}, "it sent something unreadable"),
        (OSError("gone"), "cannot be reached: gone"),
    ],
)
def test_results_that_were_not_fetched_stay_on_the_machine_and_are_reported(finish: Any, said: str) -> None:
    a = FakeAgent("a")
    a.answers["finish"] = finish

    async def scenario() -> None:
        async with Scene(a).opened() as scene:
            await scene.fleet.command(Start(segment(NS_PER_S)))
            a.happened(ended("a/0", 1))
            scene.beat(a)
            assert await scene.events(1) == [ended("a/0", 1)]
        assert ("leave", ("run1", False)) in a.asked
        (problem,) = scene.fleet.problems
        assert said in problem
        assert problem.startswith("a: ")
        assert problem.endswith("; run loadgen collect to fetch them")
        assert scene.way.closed == 1

    run(scenario)


def test_a_machine_that_does_not_deliver_its_last_results_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleets, "_SETTLE_S", 1.0)
    mute, refusing, slow, good = (FakeAgent(name, engines=1) for name in ("mute", "refusing", "slow", "good"))
    mute.mute.add("read_spool")
    refusing.answers["read_spool"] = {
        "failed": {"whose": "fleet", "message": "the spool cannot be read: Input/output error", "hint": ""}
    }
    slow.answers["read_spool"] = RuntimeError("the connection was closed")

    async def scenario() -> None:
        async with Scene(mute, refusing, slow, good).opened() as scene:
            await scene.fleet.command(Start(segment(NS_PER_S)))
            for one in (slow, good):
                one.happened(ended(f"{one.name}/0", 1))
            asyncio.get_running_loop().call_later(0.05, slow.answers.clear)
            await scene.fleet.settle()
            found = await scene.events(4)
        assert set(found) == {
            ended("slow/0", 1),
            ended("good/0", 1),
            EngineLost("mute/0", say_machine_lost("mute", "its last results did not arrive within 1 s")),
            EngineLost("refusing/0", say_machine_lost("refusing", "the spool cannot be read: Input/output error")),
        }
        assert len(scene.fleet.problems) == 2
        assert all("some of its results may be missing" in problem for problem in scene.fleet.problems)

    run(scenario)


@pytest.mark.parametrize("last", ["finish", "leave"])
def test_a_machine_that_is_lost_after_its_results_arrived_is_only_a_note(last: str) -> None:
    a = FakeAgent("a")
    a.answers[last] = RuntimeError("the connection was closed")

    async def scenario() -> None:
        async with Scene(a).opened() as scene:
            await scene.fleet.command(Start(segment(NS_PER_S)))
            a.happened(ended("a/0", 1))
            await scene.fleet.settle()
            assert await scene.events(1) == [ended("a/0", 1)]
        (problem,) = scene.fleet.problems
        assert problem.startswith("a: all of its results have arrived, but it could not be told that the run is over (")
        assert "the connection was closed" in problem

    run(scenario)


def test_the_log_of_a_machine_is_forwarded_up_to_a_megabyte() -> None:
    a = FakeAgent("a")

    async def scenario() -> None:
        async with Scene(a).opened() as scene:
            scene.beat(a, log=["hello", "x" * 4000], log_dropped=2)
            for _ in range(3):
                scene.beat(a, log=["y" * 4000] * 100)
            await until(lambda: scene.log[-1:] == [("a", "(further lines were dropped)")])
            assert scene.log[:3] == [("a", "hello"), ("a", "x" * 4000), ("a", "(2 lines were dropped)")]
            assert sum(len(line) for _, line in scene.log) <= 1 << 20

    run(scenario)
