"""Machines of a fleet on Dask that are lost, silent, or heard again."""

from __future__ import annotations

import asyncio

import pytest

from coordinator.fleet.api import Dismiss, Start
from coordinator.fleet.dask import fleet as fleets
from coordinator.fleet.dask import machine as machines
from loadgen.measure.events import (
    EngineLost,
)
from loadgen.model.machine import MachineState
from loadgen.model.units import NS_PER_MS, NS_PER_S
from tests.support.dask_doubles import FakeAgent, Scene
from tests.support.scenes import ended, prepare, run, segment, until


def test_a_lost_machine_is_reported_once_and_its_later_events_are_ignored() -> None:
    a, b = FakeAgent("a"), FakeAgent("b", engines=3)
    b.mute.add("dismiss")

    async def scenario() -> None:
        async with Scene(a, b).opened() as scene:
            await scene.fleet.command(prepare("a/0", "a/1", "b/0", "b/1"))
            await scene.fleet.command(Start(segment(NS_PER_S)))
            b.happened(EngineLost("b/0", "killed by signal 9"), ended("b/1"))
            scene.beat(b)
            scene.way.line.part(b)
            b.happened(ended("b/1", 9))
            scene.beat(b)
            scene.way.line.part(b)
            why = "machine b is lost: its connection ended"
            assert await scene.events(3) == [
                EngineLost("b/0", "killed by signal 9"),
                ended("b/1"),  # this event was received before the loss
                EngineLost("b/1", why),  # b/2 was outside the run
            ]
            await until(lambda: scene.way.given_up == ["b"])
            status = {one.name: one for one in scene.fleet.status()}
            assert (status["b"].state, status["b"].engines) == (MachineState.LOST, 0)
            assert status["b"].why == "its connection ended"
            b.happened(ended("b/1", 1))
            for _ in range(5):
                scene.beat(b)
                await asyncio.sleep(0)
            a.happened(ended("a/0"))
            scene.beat(a)
            assert await scene.events(1) == [ended("a/0")]
            await scene.fleet.command(Dismiss("b/1"))
        assert scene.way.given_up == ["b"]
        assert b.count("leave") == 0  # the machine was never reached again
        (problem,) = scene.fleet.problems
        assert problem == (
            "b: some of its results may be missing (it was lost: its connection ended); "
            "run loadgen collect to fetch them"
        )

    run(scenario)


def test_a_lost_machine_that_is_heard_again_is_dismissed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "_DISMISS_TIMEOUT_S", 0.02)
    a, b = FakeAgent("a"), FakeAgent("b")
    b.mute.add("dismiss")

    async def scenario() -> None:
        async with Scene(a, b).opened() as scene:
            scene.way.line.part(b)
            await scene.events(2)
            await asyncio.sleep(0.03)
            assert b.count("dismiss") == 1  # the machine is not reached
            b.mute.clear()
            for _ in range(5):
                scene.beat(b)
                await asyncio.sleep(0.002)
            assert b.count("dismiss") == 2
        assert ("leave", ("run1", False)) in b.asked

    run(scenario)


def test_a_silent_machine_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleets, "SILENCE_NS", 200 * NS_PER_MS)
    a = FakeAgent("a", engines=1)

    async def scenario() -> None:
        async with Scene(a).opened() as scene:
            scene.beat(a)
            (event,) = await scene.events(1)
            assert isinstance(event, EngineLost)
            assert event.why.startswith("machine a is lost: silent for 0.")
            await until(lambda: scene.way.given_up == ["a"])

    run(scenario)
