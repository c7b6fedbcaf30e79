"""A fleet on Dask while it opens: missing machines, and events during the opening."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from loadgen.measure.events import (
    EngineLost,
)
from loadgen.model.errors import FleetError
from loadgen.model.plan import OnLoss
from tests.support.dask_doubles import FakeAgent, Scene
from tests.support.scenes import run


@pytest.mark.parametrize(
    ("call", "answer", "said"),
    [
        ("hello", {"failed": {"whose": "fleet", "message": "b has loadgen 9", "hint": "x"}}, "b has loadgen 9"),
        ("hello", {"workers": ["a/0"]}, "it sent something unreadable"),
        ("hello", None, "it sent something unreadable"),
        ("hello", ModuleNotFoundError("No module named 'coordinator'"), "is not installed there"),
        ("hello", OSError("timed out"), "cannot be reached: timed out"),
        (
            "hello",
            OSError("in <TLS (closed) local=tls://x remote=tls://y>: ConnectionResetError: [Errno 104] it was reset"),
            "it cannot be reached: it was reset",
        ),
        ("hello", RuntimeError("closed"), "RuntimeError: closed"),
        ("clock", {"at_ns": "noon"}, "it sent something unreadable"),
    ],
)
def test_unusable_machines_are_missing_and_named(call: str, answer: Any, said: str) -> None:
    a, b = FakeAgent("a"), FakeAgent("b")
    b.answers[call] = answer

    async def scenario() -> None:
        async with Scene(a, b, missing={"c": "it is off"}).opened() as scene:
            assert [machine.name for machine in scene.fleet.machines] == ["a"]
            assert scene.fleet.missing["c"] == "it is off"
            assert said in scene.fleet.missing["b"]
        with pytest.raises(FleetError, match=r"c: it is off; b: .*" + said):
            async with Scene(a, b, missing={"c": "it is off"}, on_loss=OnLoss.ABORT).opened():
                pass
        with pytest.raises(FleetError, match=r"no load machine can be used: c: it is off; b: .*" + said):
            async with Scene(b, missing={"c": "it is off"}).opened():
                pass

    run(scenario)


def test_reports_before_the_answer_to_hello_are_processed() -> None:
    a = FakeAgent("a")

    async def scenario() -> None:
        scene = Scene(a)

        def report() -> None:
            a.happened(EngineLost("a/1", "killed by signal 9"))
            scene.beat(a)

        a.greeted = report
        async with scene.opened():
            await scene.fleet.settle()
            assert await scene.events(1) == [EngineLost("a/1", "killed by signal 9")]

    run(scenario)


def test_events_during_hello_are_reported_except_those_of_missing_machines() -> None:
    a, b, c = FakeAgent("a"), FakeAgent("b"), FakeAgent("c")

    async def scenario() -> None:
        scene = Scene(a, b, c)

        def report() -> None:
            scene.way.line.part(b)
            a.happened(EngineLost("a/1", "killed by signal 9"))
            scene.beat(a)

        c.greeted = lambda: asyncio.get_running_loop().call_later(0.03, report)
        c.patience_s = 0.1
        async with scene.opened():
            assert await scene.events(1) == [EngineLost("a/1", "killed by signal 9")]
            assert [machine.name for machine in scene.fleet.machines] == ["a", "c"]
            assert scene.fleet.missing == {"b": "its connection ended"}

    run(scenario)
