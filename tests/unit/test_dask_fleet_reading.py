"""Reports of machines of a fleet on Dask: read together, in order, and checked."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator.fleet.api import Start
from loadgen.host import frames
from loadgen.measure.disturbance import MachineSecond
from loadgen.measure.events import (
    AgentEvent,
    CoresShared,
    EngineLost,
    SegmentBegan,
    apart,
    event_to_wire,
)
from loadgen.measure.snapshot import Snapshot
from loadgen.measure.together import Snapshots
from tests.support.dask_doubles import FakeAgent, Scene
from tests.support.disturbance import second
from tests.support.scenes import ended, run, segment
from tests.support.snapshots import cell, snapshot, tally

junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


def test_simultaneous_reports_are_read_together_and_an_invalid_one_ends_only_its_machine() -> None:
    a, b, c, sick = agents = [FakeAgent(name) for name in ("a", "b", "c", "sick")]

    async def scenario() -> None:
        async with Scene(*agents).opened() as scene:
            for agent in (a, b, c):
                agent.happened(Snapshots.of([snapshot(f"{agent.name}/{engine}", 0) for engine in range(2)]))
            c.happened(ended("c/0"))
            for agent in (a, b, c):
                scene.beat(agent)
            first, last = await scene.events(2)
            assert isinstance(first, Snapshots)
            assert first.workers == ("a/0", "a/1", "b/0", "b/1", "c/0", "c/1")
            assert last == ended("c/0")

            for agent in (a, sick, b):
                wire = event_to_wire(Snapshots.of([snapshot(f"{agent.name}/{engine}", 1) for engine in range(2)]))
                if agent is sick:
                    wire["snapshots"]["tallies"] = b"?"
                agent.spool += frames.encode(wire)
                scene.beat(agent)
            found = await scene.events(4)
            assert [one.workers for one in found if isinstance(one, Snapshots)] == [("a/0", "a/1"), ("b/0", "b/1")]
            assert {one.worker for one in found if isinstance(one, EngineLost)} == {"sick/0", "sick/1"}
            (why,) = [one.why for one in scene.fleet.status() if one.why]
            assert "tallies" in why

    run(scenario)


def test_what_seconds_were_like_does_not_split_the_reports_of_many_machines() -> None:
    a, b = FakeAgent("a"), FakeAgent("b")

    async def scenario() -> None:
        async with Scene(a, b).opened() as scene:
            for agent in (a, b):
                agent.happened(
                    Snapshots.of([snapshot(f"{agent.name}/0", 0)]), second(0, machine=agent.name, engines=())
                )
                scene.beat(agent)
            found = await scene.events(3)
            assert [one.workers for one in found if isinstance(one, Snapshots)] == [("a/0", "b/0")]
            assert [one.machine for one in found if isinstance(one, MachineSecond)] == ["a", "b"]

    run(scenario)


def test_a_machine_that_reports_for_another_in_a_group_is_lost() -> None:
    a, thief = FakeAgent("a"), FakeAgent("thief")

    async def scenario() -> None:
        async with Scene(a, thief).opened() as scene:
            for agent in (a, thief):
                agent.happened(Snapshots.of([snapshot("a/0", 0)]))
                scene.beat(agent)
            found = await scene.events(3)
            assert [one.workers for one in found if isinstance(one, Snapshots)] == [("a/0",)]
            assert {one.worker for one in found if isinstance(one, EngineLost)} == {"thief/0", "thief/1"}

    run(scenario)


def test_the_size_of_a_group_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coordinator.fleet.dask.unread._BYTES", 1)
    a, b = FakeAgent("a"), FakeAgent("b")

    async def scenario() -> None:
        async with Scene(a, b).opened() as scene:
            for agent in (a, b):
                agent.happened(Snapshots.of([snapshot(f"{agent.name}/0", 0, {}, (tally(0, 0),))]))
                scene.beat(agent)
            found = await scene.events(2)
            assert [one.workers for one in found if isinstance(one, Snapshots)] == [("a/0",), ("b/0",)]

    run(scenario)


def test_reports_before_an_invalid_one_count() -> None:
    a = FakeAgent("a")

    async def scenario() -> None:
        async with Scene(a, FakeAgent("b")).opened() as scene:
            a.happened(Snapshots.of([snapshot("a/0", 0)]), Snapshots.of([snapshot("b/0", 0)]))
            scene.beat(a)
            first, *lost = await scene.events(3)
            assert isinstance(first, Snapshots)
            assert first.workers == ("a/0",)
            assert all(isinstance(one, EngineLost) for one in lost)

    run(scenario)


def test_reports_of_a_machine_stay_in_order() -> None:
    a, b = FakeAgent("a"), FakeAgent("b")

    async def scenario() -> None:
        async with Scene(a, b).opened() as scene:
            b.happened(Snapshots.of([snapshot("b/0", 4)]))
            a.happened(
                Snapshots.of([snapshot("a/0", 5), snapshot("a/1", 4, {})]),
                Snapshots.of([snapshot("a/1", 4, {(0, 0): cell(1)})]),
            )
            scene.beat(b)
            scene.beat(a)
            found = [one for one in apart(await scene.events(3)) if isinstance(one, Snapshot) and one.worker == "a/1"]
            assert [len(one.cells) for one in found] == [0, 1]

    run(scenario)


def test_reports_before_a_machine_left_are_read() -> None:
    a = FakeAgent("a")

    async def scenario() -> None:
        async with Scene(a, FakeAgent("b")).opened() as scene:
            a.happened(Snapshots.of([snapshot("a/0", 0)]))
            scene.beat(a)
            scene.way.line.part(a)
            first, *lost = await scene.events(3)
            assert isinstance(first, Snapshots)
            assert all(isinstance(one, EngineLost) for one in lost)

    run(scenario)


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (SegmentBegan("a/0", 0, 0), "it reports an impossible time for the start of a segment"),
        (SegmentBegan("a/0", 0, 2**62), "it reports an impossible time for the start of a segment"),
        (snapshot("a/0", 2**31 - 1), "it reports interval 2147483647, which has not begun yet"),
    ],
    ids=["began", "begins", "interval"],
)
def test_a_machine_that_reports_impossible_times_is_lost(event: AgentEvent, said: str) -> None:
    a = FakeAgent("a", engines=1)

    async def scenario() -> None:
        async with Scene(a).opened() as scene:
            await scene.fleet.command(Start(segment(scene.fleet.lead_ns)))
            a.happened(event)
            scene.beat(a)
            (lost,) = await scene.events(1)
            assert isinstance(lost, EngineLost)
            assert said in lost.why

    run(scenario)


def test_a_machine_that_plays_without_an_order_is_lost() -> None:
    a = FakeAgent("a", engines=1)

    async def scenario() -> None:
        async with Scene(a).opened() as scene:
            a.happened(SegmentBegan("a/0", 0, a.now_ns()))
            scene.beat(a)
            (lost,) = await scene.events(1)
            assert isinstance(lost, EngineLost)
            assert "it reports an impossible time for the start of a segment" in lost.why

    run(scenario)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ({"seq": "first"}, "field 'seq'"),
        ({"machine": "a"}, "it reports as machine 'a'"),
        ({"spool_bytes": -1}, "field 'spool_bytes'"),
        ({"chunk": {"offset": 0}}, "field 'data'"),
    ],
)
def test_an_invalid_report_ends_only_its_machine(spoil: dict[str, Any], said: str) -> None:
    a, b = FakeAgent("a"), FakeAgent("b", engines=1)

    async def scenario() -> None:
        async with Scene(a, b).opened() as scene:
            scene.beat(b, **spoil)
            (event,) = await scene.events(1)
            assert isinstance(event, EngineLost)
            assert event.why.startswith(f"machine b is lost: it sent something unreadable: {said}")
            a.happened(ended("a/0"))
            scene.beat(a)
            assert await scene.events(1) == [ended("a/0")]

    run(scenario)


@pytest.mark.parametrize("event", [ended("a/0"), CoresShared("a", 0.5, "x"), EngineLost("b/7", "x")])
def test_a_machine_that_reports_for_another_is_lost(event: AgentEvent) -> None:
    a, b = FakeAgent("a"), FakeAgent("b", engines=1)

    async def scenario() -> None:
        async with Scene(a, b).opened() as scene:
            b.happened(event)
            scene.beat(b)
            (lost,) = await scene.events(1)
            assert isinstance(lost, EngineLost)
            assert "it reports for" in lost.why

    run(scenario)


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    messages=st.lists(
        junk | st.tuples(st.sampled_from(sorted(FakeAgent("b").heartbeat())), junk).map(lambda one: dict([one])),
        min_size=1,
        max_size=8,
    )
)
def test_no_message_of_a_machine_harms_the_coordinator_or_another_machine(messages: list[Any]) -> None:
    a, b = FakeAgent("a"), FakeAgent("b", engines=1)

    async def scenario() -> None:
        async with Scene(a, b).opened() as scene:
            for message in messages:
                scene.way.line.news(message)
                if isinstance(message, dict):  # one or more fields of a heartbeat
                    scene.beat(b, **message)
                else:
                    scene.way.line.beat(message)
            a.happened(ended("a/0"))
            scene.beat(a)
            async with asyncio.timeout(5):
                while await scene.fleet.event() != ended("a/0"):
                    pass
            assert scene.fleet.status()[0].why == ""

    run(scenario)
