"""The conductor executes the effects of the state machine in order, and passes events back."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from coordinator.fleet.api import Command, Start
from coordinator.output.terminal.runview import Position
from coordinator.run.conductor import Conductor, Hooks
from coordinator.run.intake import Intake
from coordinator.run.state import Ready, RunState
from loadgen.measure.cells import Cell
from loadgen.measure.disturbance import MachineSecond
from loadgen.measure.events import EngineReady, apart
from loadgen.measure.snapshot import Snapshot
from loadgen.measure.together import Snapshots
from loadgen.model.plan import Phases
from loadgen.model.units import NS_PER_S
from tests.support.disturbance import engine_second, second
from tests.support.fleets import FakeFleet
from tests.support.snapshots import tallies, tally
from workloads.specweb99.mix import GROUPS, KINDS


class Diary:
    """Records the calls of the hooks."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.snapshots: list[Snapshot] = []
        self.positions: list[Position] = []
        self.ready: list[dict[str, EngineReady]] = []
        self.seconds: list[MachineSecond] = []

    async def reset(self, iteration: int) -> None:
        self.calls.append(f"reset {iteration}")

    async def audit(self, iteration: int) -> None:
        self.calls.append(f"audit {iteration}")

    def hooks(self) -> Hooks:
        return Hooks(
            lambda engines: self.ready.append(dict(engines)),
            self.reset,
            self.audit,
            lambda filed: self.snapshots.extend(one for one in apart(filed) if isinstance(one, Snapshot)),
            self.seconds.append,
            self.positions.append,
        )


def phases(measure_s: int = 1, iterations: int = 2) -> Phases:
    return Phases(ramp_up_ns=0, warmup_ns=0, measure_ns=measure_s * NS_PER_S, ramp_down_ns=0, iterations=iterations)


def intake_of(fleet: FakeFleet) -> Intake:
    return Intake.of(fleet.workers, len(KINDS), len(GROUPS), connections=1, targets=1)


def conduct(fleet: FakeFleet, diary: Diary, plan: Phases) -> Conductor:
    async def scenario() -> Conductor:
        run = RunState(frozenset(fleet.workers), plan.iterations)
        conductor = Conductor(run, fleet, intake_of(fleet), plan, diary.hooks())
        conductor.post(Ready())
        await asyncio.wait_for(conductor.conduct(), 20)
        return conductor

    return asyncio.run(scenario())


def test_every_iteration_is_reset_played_and_audited() -> None:
    diary = Diary()
    conductor = conduct(FakeFleet(["a", "b"]), diary, phases())
    assert diary.calls == ["reset 0", "audit 0", "reset 1", "audit 1"]
    assert {(s.worker, s.interval) for s in diary.snapshots} == {("a", 0), ("b", 0), ("a", 1), ("b", 1)}
    assert conductor.run.complete == {0, 1}
    assert [conductor.intake.intervals_of(window) for window in (0, 1)] == [{0}, {1}]
    assert diary.positions[-1].phase == "finished"
    first, second = conductor.timeline.segments[0], conductor.timeline.segments[1]
    assert first.origin_ns == second.origin_ns == first.start_ns
    assert second.start_ns > first.start_ns


def test_a_run_that_is_clear_is_stopped_while_it_plays() -> None:
    diary, fleet = Diary(), FakeFleet(["a", "b"])
    asked: list[str] = []

    def early() -> str:
        asked.append("now")
        return "it is clear"

    async def scenario() -> Conductor:
        run, plan = RunState(frozenset(fleet.workers), 2), phases(measure_s=1000)
        conductor = Conductor(run, fleet, intake_of(fleet), plan, replace(diary.hooks(), early=early))
        conductor.post(Ready())
        await asyncio.wait_for(conductor.conduct(), 60)
        return conductor

    conductor = asyncio.run(scenario())
    assert conductor.run.early == "it is clear"
    assert not conductor.run.interrupted
    assert len(asked) == 1  # not before there is traffic, and not again
    assert 0 <= conductor.timeline.measured_ns(0)[0] < 1000 * NS_PER_S
    assert diary.calls == ["reset 0"]  # the servers' logs are not compared for a part of a window


async def _broken(*_: object) -> None:
    raise RuntimeError("no")


def test_an_exception_before_there_is_traffic_ends_the_run() -> None:
    diary = Diary()
    diary.reset = _broken  # type: ignore[method-assign, assignment]
    with pytest.raises(RuntimeError, match="no"):
        conduct(FakeFleet(["a"]), diary, phases())


@pytest.mark.parametrize("what", ["a hook", "a command", "a record"])
def test_an_exception_after_traffic_ends_the_run_and_leaves_what_was_measured(what: str) -> None:
    diary, fleet = Diary(), FakeFleet(["a"])
    if what == "a hook":
        diary.audit = _broken  # type: ignore[method-assign, assignment]
    elif what == "a record":
        diary.snapshots = None  # type: ignore[assignment]
    else:
        play = fleet.command

        async def command(command: Command) -> None:
            await (_broken() if isinstance(command, Start) and command.segment.index else play(command))

        fleet.command = command  # type: ignore[method-assign]
    conductor = conduct(fleet, diary, phases())
    assert isinstance(conductor.broken, AttributeError if what == "a record" else RuntimeError)
    assert conductor.run.complete <= {0}
    assert conductor.intake.intervals_of(0) == {0}


def test_a_silent_worker_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coordinator.run.conductor._GRACE_S", 0.01)
    fleet = FakeFleet(["a", "b"], mute=frozenset({"b"}))
    conductor = conduct(fleet, Diary(), phases(iterations=1))
    assert conductor.run.lost == {"b": "it is silent"}
    assert conductor.run.complete == {0}
    assert fleet.dismissed == {"b"}  # the worker may only have been suspended


def test_reports_of_workers_outside_the_run_are_ignored() -> None:
    """With fewer connections than engines, some workers are outside the run; machines that were left out are, too."""
    fleet = FakeFleet(["a", "left-over"])
    fleet.dismissed.add("left-over")
    fleet.lose("left-over")
    ready = EngineReady("a", "compiled", "kernel", "")
    fleet.say(ready)
    fleet.say(replace(ready, worker="left-over"))
    own, strange = (second(0, engines=(engine_second(worker),)) for worker in ("a", "left-over"))
    fleet.say(own)
    fleet.say(strange)
    diary = Diary()

    async def scenario() -> Conductor:
        intake = Intake.of(["a"], len(KINDS), len(GROUPS), connections=1, targets=1)
        conductor = Conductor(RunState(frozenset({"a"}), 1), fleet, intake, phases(iterations=1), diary.hooks())
        conductor.post(Ready())
        await asyncio.wait_for(conductor.conduct(), 20)
        return conductor

    conductor = asyncio.run(scenario())
    assert diary.seconds == [own]
    assert conductor.engines == {"a": ready}
    assert not conductor.run.lost
    assert conductor.run.complete == {0}


def test_ready_is_called_once_when_all_workers_have_reported_or_are_lost() -> None:
    fleet, diary = FakeFleet(["a", "b", "c"]), Diary()
    by_name = {name: EngineReady(name, "compiled", "kernel", "") for name in ("a", "b", "c")}
    fleet.say(by_name["c"])
    fleet.lose("b")
    conductor = conduct(fleet, diary, phases(iterations=1))
    assert conductor.run.complete == {0}
    assert diary.ready == []  # the engine of worker a is not known
    fleet, diary = FakeFleet(["a", "b", "c"]), Diary()
    fleet.say(by_name["c"])
    fleet.lose("b")
    fleet.say(by_name["a"])
    fleet.lose("a")
    conduct(fleet, diary, phases(iterations=1))
    assert diary.ready == [{"a": by_name["a"], "c": by_name["c"]}]


@pytest.mark.parametrize("sick", [{"connection": 1}, {"target": 1}, {"kinds": 3}], ids=str)
def test_a_worker_with_an_unplanned_measurement_is_lost(sick: dict[str, int]) -> None:
    fleet, diary = FakeFleet(["a", "b"]), Diary()
    cells = {(0, sick.get("target", 0)): Cell.empty(sick.get("kinds", 4), 5)}
    good = fleet.snapshot("b", 0)
    fleet.say(replace(good, cells=cells, tallies=tallies(tally(0, sick.get("connection", 0), ok=0))))
    conductor = conduct(fleet, diary, phases(iterations=1))
    assert list(conductor.run.lost) == ["b"]
    assert conductor.run.lost["b"].startswith("it sent something unreadable: a snapshot")
    assert fleet.dismissed == {"b"}
    assert {snapshot.worker for snapshot in diary.snapshots} == {"a"}


def test_an_invalid_report_among_several_ends_only_its_worker() -> None:
    fleet, diary = FakeFleet(["a", "b", "left-over"]), Diary()
    fleet.dismissed.add("left-over")
    sick = replace(fleet.snapshot("b", 0), tallies=tallies(tally(0, 1, ok=0)))
    fleet.say(Snapshots.of([fleet.snapshot("a", 7), sick, fleet.snapshot("left-over", 7)]))

    async def scenario() -> Conductor:
        intake = Intake.of(["a", "b"], len(KINDS), len(GROUPS), connections=1, targets=1)
        conductor = Conductor(RunState(frozenset({"a", "b"}), 1), fleet, intake, phases(iterations=1), diary.hooks())
        conductor.post(Ready())
        await asyncio.wait_for(conductor.conduct(), 20)
        return conductor

    conductor = asyncio.run(scenario())
    assert list(conductor.run.lost) == ["b"]
    assert conductor.run.lost["b"].startswith("it sent something unreadable: a snapshot")
    assert {(one.worker, one.interval) for one in diary.snapshots} == {("a", 7), ("a", 0)}
    assert conductor.intake.ledger.health_at("a", 7) is not None


def test_a_suspended_coordinator_does_not_lose_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The final reports of the workers are already waiting when the coordinator continues, long after they were due."""
    monkeypatch.setattr("coordinator.run.conductor._GRACE_S", 0.6)
    fleet = FakeFleet(["a", "b"], longest_s=1)  # does not end a segment by itself

    async def scenario() -> Conductor:
        run = RunState(frozenset(fleet.workers), 1)
        conductor = Conductor(run, fleet, intake_of(fleet), phases(iterations=1), Diary().hooks())
        conductor.post(Ready())
        conducting = asyncio.create_task(conductor.conduct())
        await asyncio.sleep(1.1)
        asyncio.get_running_loop().call_later(0.6, fleet.end, "complete")
        time.sleep(0.8)  # noqa: ASYNC251 - suspends the whole process past the end and the grace time
        await asyncio.wait_for(conducting, 20)
        return conductor

    conductor = asyncio.run(scenario())
    assert not conductor.run.lost
    assert conductor.run.complete == {0}


def test_positions_name_the_phase() -> None:
    diary = Diary()
    conduct(FakeFleet(["a"]), diary, phases(iterations=1))
    assert {position.iteration for position in diary.positions} <= {-1, 0}
    assert all(position.iterations == 1 for position in diary.positions)
    assert all(position.total_s >= 1 for position in diary.positions)
