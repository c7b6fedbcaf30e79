"""The frame of every run: an error after the traffic becomes a note and never loses the result."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coordinator.fleet.choice import FleetChoice
from coordinator.kinds.iperf.kind import IperfKind
from coordinator.output.judged import Judged
from coordinator.record.network import Kept
from coordinator.run.api import Around, Player, Stage
from coordinator.run.frame import Run
from coordinator.run.network import NetworkMeasured
from loadgen.measure.throughput import ProbeResult
from loadgen.model.errors import TargetError
from loadgen.model.probe import Direction, IperfPlan
from loadgen.model.units import NS_PER_S
from loadgen.verdict.network import IperfResult
from loadgen.verdict.result import Verdict
from tests.support.networks import probe_result

PLAN = IperfPlan(
    host="192.0.2.1", windows_bytes=(65536,), directions=(Direction.SEND,), repeats=1, duration_ns=NS_PER_S
)
TEST = probe_result(PLAN.test(65536, Direction.SEND), 900)


class Scripted:
    """A player that follows the test's script, and measures one test."""

    def __init__(self, act: Callable[[Stage[IperfPlan]], None]) -> None:
        self._act = act
        self.interrupted = False

    def interrupt(self) -> bool:
        self.interrupted = True
        return True

    async def play(self, stage: Stage[IperfPlan]) -> NetworkMeasured[ProbeResult]:
        self._act(stage)
        return NetworkMeasured(tests=(TEST,))


class ScriptedKind(IperfKind):
    def __init__(self, act: Callable[[Stage[IperfPlan]], None]) -> None:
        self._act = act

    def player(
        self, plan: IperfPlan, fleet: FleetChoice | None, around: Around
    ) -> Player[IperfPlan, NetworkMeasured[ProbeResult]]:
        return Scripted(self._act)


def play(directory: Path, act: Callable[[Stage[IperfPlan]], None]) -> Judged[IperfPlan, IperfResult]:
    around = Around(cache=directory, say=lambda text: None, progress=lambda done, total: None, view=_NoView())
    run = Run(
        kind=ScriptedKind(act),
        plan=PLAN,
        fleet=None,
        directory=directory / "run",
        around=around,
        command_line=("loadgen", "iperf"),
        notes=("a note of the command",),
    )
    return asyncio.run(run.run())


class _NoView:
    def __enter__(self) -> _NoView:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def update(self, view: Any, /) -> None:
        return None


def document(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / "run" / "run.json").read_text())
    return found


def test_notices_become_notes_and_the_record_ends_finished(tmp_path: Path) -> None:
    judged = play(tmp_path, lambda stage: stage.notices.append("a notice of the run"))
    assert judged.result.notes == ("a note of the command", "a notice of the run")
    assert document(tmp_path)["verdict"] == judged.result.verdict.value == judged.document["verdict"]


def test_errors_while_the_run_is_closed_become_notes(tmp_path: Path) -> None:
    closed: list[str] = []

    async def fail() -> None:
        raise RuntimeError("Cannot change state of expiring Timeout")

    def act(stage: Stage[IperfPlan]) -> None:
        stage.stack.callback(lambda: closed.append("the first"))
        stage.stack.push_async_callback(fail)
        stage.stack.callback(lambda: closed.append("the last"))

    judged = play(tmp_path, act)
    assert closed == ["the last", "the first"]
    assert judged.result.verdict is Verdict.CONFORMING
    assert judged.result.notes[-1] == "closing the run failed: RuntimeError: Cannot change state of expiring Timeout"
    assert document(tmp_path)["notes"][-1] == judged.result.notes[-1]


def test_an_error_that_says_what_to_do_is_a_note_in_its_own_words(tmp_path: Path) -> None:
    async def fail() -> None:
        raise TargetError("the kernel has not removed vm01", hint="rmdir vm01")

    def act(stage: Stage[IperfPlan]) -> None:
        stage.stack.push_async_callback(fail)

    judged = play(tmp_path, act)
    assert judged.result.notes[-1] == "closing the run failed: the kernel has not removed vm01; rmdir vm01"


def test_a_cancellation_that_is_lost_while_the_run_is_closed_becomes_a_note(tmp_path: Path) -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    def act(stage: Stage[IperfPlan]) -> None:
        stage.stack.push_async_callback(cancelled)

    judged = play(tmp_path, act)
    assert judged.result.verdict is Verdict.CONFORMING
    assert judged.result.notes[-1] == "closing the run failed: a part of it was cancelled"


def test_an_error_before_the_traffic_ends_the_run_and_everything_is_closed(tmp_path: Path) -> None:
    closed: list[str] = []

    def act(stage: Stage[IperfPlan]) -> None:
        stage.stack.callback(lambda: closed.append("closed"))
        raise TargetError("nobody answers")

    with pytest.raises(TargetError, match="nobody answers"):
        play(tmp_path, act)
    assert closed == ["closed"]
    assert not (tmp_path / "run").exists()


def test_what_was_measured_before_an_error_stays_in_the_record(tmp_path: Path) -> None:
    def act(stage: Stage[IperfPlan]) -> None:
        stage.writer.append([Kept(TEST)])
        raise TargetError("nobody answers any more")

    with pytest.raises(TargetError, match="nobody answers any more"):
        play(tmp_path, act)
    assert document(tmp_path)["verdict"] == "unfinished"


def test_a_directory_that_the_user_made_stays_when_the_run_cannot_be_begun(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()

    def act(stage: Stage[IperfPlan]) -> None:
        raise TargetError("nobody answers")

    with pytest.raises(TargetError, match="nobody answers"):
        play(tmp_path, act)
    assert list((tmp_path / "run").iterdir()) == []


def test_new_facts_are_recorded_at_once(tmp_path: Path) -> None:
    seen: list[str] = []

    def act(stage: Stage[IperfPlan]) -> None:
        stage.learn(started_at="2026-02-03T04:05:06+00:00")
        seen.append(document(tmp_path)["started_at"])

    play(tmp_path, act)
    assert seen == ["2026-02-03T04:05:06+00:00"]
