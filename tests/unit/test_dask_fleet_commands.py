"""Commands to a fleet on Dask: Prepare, Start and Stop."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict

import pytest

from coordinator.fleet.api import Start, Stop
from coordinator.fleet.dask import fleet as fleets
from loadgen.measure.events import (
    EngineLost,
    SegmentBegan,
)
from loadgen.model.errors import FleetError, TargetError
from loadgen.model.machine import MachineState
from loadgen.model.units import NS_PER_MS, NS_PER_S
from tests.support.calm import in_a_calm_moment
from tests.support.dask_doubles import FakeAgent, Scene
from tests.support.scenes import prepare, run, segment


@in_a_calm_moment
def test_a_segment_is_ordered_and_reported_in_the_clock_of_each_machine() -> None:
    ahead = {"a": 10**15 + 7, "b": -17 * NS_PER_S}
    a, b = (FakeAgent(name, ahead_ns=ns) for name, ns in ahead.items())

    async def scenario() -> None:
        async with Scene(a, b).opened() as scene:
            clocks = scene.fleet.clocks()
            for name, ns in ahead.items():
                assert abs(clocks[name].offset_ns - ns) <= clocks[name].error_ns < 50 * NS_PER_MS
            wanted = segment(scene.fleet.lead_ns)
            await scene.fleet.command(Start(wanted))
            for agent in (a, b):
                (theirs,) = [arguments[1] for call, arguments in agent.asked if call == "start"]
                for name, value in asdict(wanted).items():
                    off_ns = theirs[name] - value - (agent.ahead_ns if name != "index" else 0)
                    assert abs(off_ns) < 50 * NS_PER_MS
                agent.happened(SegmentBegan(f"{agent.name}/0", 3, wanted.start_ns + agent.ahead_ns))
                scene.beat(agent)
            for event in await scene.events(2):
                assert isinstance(event, SegmentBegan)
                assert abs(event.at_ns - wanted.start_ns) < 50 * NS_PER_MS

    run(scenario)


@in_a_calm_moment
def test_a_machine_that_is_not_armed_in_time_is_lost_and_the_others_start() -> None:
    a, b = FakeAgent("a"), FakeAgent("b", engines=1)
    b.mute.add("start")

    async def scenario() -> None:
        async with Scene(a, b).opened() as scene:
            wanted = segment(400 * NS_PER_MS)
            await scene.fleet.command(Start(wanted))
            assert time.monotonic_ns() < wanted.start_ns
            (event,) = await scene.events(1)
            assert isinstance(event, EngineLost)
            assert "machine b is lost: it was not armed in time" in event.why
            assert scene.fleet.status()[0].state is MachineState.ARMED

    run(scenario)


def test_stop_does_not_wait_for_machines_that_do_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleets, "_STOP_TIMEOUT_S", 0.05)
    a, b = FakeAgent("a"), FakeAgent("b")
    b.mute.add("stop")

    async def scenario() -> None:
        async with Scene(a, b).opened() as scene:
            async with asyncio.timeout(1):
                await scene.fleet.command(Stop())
            assert a.count("stop") == b.count("stop") == 1
            assert scene.fleet.status()[1].why == ""

    run(scenario)


def test_a_refused_prepare_names_the_machine_and_the_cause() -> None:
    a, b = FakeAgent("a"), FakeAgent("b")
    b.answers["prepare"] = {"failed": {"whose": "target", "message": "t0 is unknown", "hint": "look"}}

    async def scenario() -> None:
        async with Scene(a, b).opened() as scene:
            with pytest.raises(TargetError, match="b: t0 is unknown"):
                await scene.fleet.command(prepare("a/0", "b/0"))
            b.answers["take_plan"] = {"digest": "0" * 64}
            with pytest.raises(FleetError, match="b: the plan was damaged on the way"):
                await scene.fleet.command(prepare("a/0", "b/0"))

    run(scenario)


def test_a_machine_outside_the_run_gets_no_plan() -> None:
    a, b = FakeAgent("a"), FakeAgent("b")

    async def scenario() -> None:
        async with Scene(a, b).opened() as scene:
            await scene.fleet.command(prepare("a/1"))
            await scene.fleet.command(Start(segment(NS_PER_S)))
            assert (b.count("take_plan"), b.count("dismiss"), b.count("start")) == (0, 1, 0)
            assert [one.engines for one in scene.fleet.status()] == [1, 0]

    run(scenario)
