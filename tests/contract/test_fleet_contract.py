"""The contract of fleets: the effects of commands and the reports of workers, however the workers are connected."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import uvloop

from coordinator.fleet.api import Dismiss, Fleet, Prepare, Start, Stop, workers_of
from coordinator.fleet.dask.fleet import DaskFleet
from coordinator.fleet.local import LocalFleet
from loadgen.agent.engines import Agent
from loadgen.engine.api import Assignment, Load, Segment
from loadgen.measure.canary import CanariesHeard
from loadgen.measure.disturbance import MachineSecond
from loadgen.measure.events import (
    AgentEvent,
    CoresShared,
    EngineLost,
    EngineReady,
    OneEvent,
    SegmentBegan,
    SegmentEnded,
    apart,
)
from loadgen.measure.snapshot import Snapshot
from loadgen.model.bound import Bound
from loadgen.model.errors import FleetError, TargetError
from loadgen.model.plan import OnLoss
from loadgen.model.shard import Shard
from loadgen.model.target import Target
from loadgen.model.units import NS_PER_S
from tests.support.agents import InProcessWay
from tests.support.cli import alive
from tests.support.fleets import FakeFleet
from tests.support.scripted import ScriptedServer, good
from tests.support.tapes import Op, make_tape

FLEETS: dict[str, Callable[[], Fleet]] = {
    "dask": lambda: DaskFleet(InProcessWay(["a", "b"]), run_id=uuid.uuid4().hex, engines=1, on_loss=OnLoss.DEGRADE),
    "fake": lambda: FakeFleet(["a", "b"]),
    "local": lambda: LocalFleet(2),
}


@pytest.fixture(params=sorted(FLEETS))
def make(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Fleet]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))  # the directory for spools of agents
    return FLEETS[request.param]


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(scenario(), 60)

    uvloop.run(bounded())


def assignments(fleet: Fleet, port: int, host: str = "127.0.0.1") -> list[Assignment]:
    workers = workers_of(fleet.machines)
    return [
        Assignment(
            worker=worker,
            shard=Shard(tuple(range(i, 4, len(workers)))),
            targets=(Target(name="t0", host=host, port=port),),
            shares=(4,),
            tape=make_tape([Op()], 4),
            load=Load(line_bps=400_000, bound=Bound.rate(320_000), timeout_ns=NS_PER_S),
        )
        for i, worker in enumerate(workers)
    ]


def segment(length_s: float, lead_ns: int = NS_PER_S // 10) -> Segment:
    start_ns = time.monotonic_ns() + lead_ns
    end_ns = start_ns + int(length_s * NS_PER_S)
    return Segment(
        index=0,
        origin_ns=start_ns,
        start_ns=start_ns,
        window_start_ns=start_ns,
        window_end_ns=end_ns,
        end_ns=end_ns,
    )


@asynccontextmanager
async def opened(make: Callable[[], Fleet], host: str = "127.0.0.1") -> AsyncIterator[Fleet]:
    fleet = make()
    async with ScriptedServer(good) as server:
        await fleet.open()
        try:
            await fleet.command(Prepare(assignments(fleet, server.port, host)))
            yield fleet
        finally:
            await fleet.close()
            await fleet.close()  # close is idempotent


def by(event: OneEvent) -> str:
    return event.machine if isinstance(event, CoresShared | MachineSecond | CanariesHeard) else event.worker


def agent_of(*workers: str) -> Agent:
    return Agent(workers, lambda event: None, machine="here", ours=lambda: [os.getpid()])


def soon(fleet: Fleet, length_s: float) -> Start:
    return Start(segment(length_s, fleet.lead_ns))


async def until_all_ended(fleet: Fleet) -> list[OneEvent]:
    events: list[AgentEvent] = []
    while sum(isinstance(event, SegmentEnded | EngineLost) for event in events) < len(workers_of(fleet.machines)):
        events.append(await fleet.event())
    return [event for event in apart(events) if not isinstance(event, CoresShared | MachineSecond)]


def test_every_worker_reports_and_then_ends(make: Callable[[], Fleet]) -> None:
    async def scenario() -> None:
        async with opened(make) as fleet:
            await fleet.command(soon(fleet, 0.5))
            events = await until_all_ended(fleet)
        for worker in workers_of(fleet.machines):
            mine = [event for event in events if by(event) == worker]
            assert isinstance(mine[0], EngineReady)
            assert isinstance(mine[1], SegmentBegan)
            assert isinstance(mine[2], Snapshot)
            assert mine[-1] == SegmentEnded(worker, 0, "complete")
            assert sum(isinstance(event, SegmentEnded) for event in mine) == 1

    run(scenario)


def test_each_second_of_each_machine_is_watched(make: Callable[[], Fleet]) -> None:
    if make is FLEETS["fake"]:
        pytest.skip("it has no machines")

    events: list[AgentEvent] = []
    names = set[str]()

    async def scenario() -> None:
        async with opened(make) as fleet:
            names.update(machine.name for machine in fleet.machines)
            await fleet.command(soon(fleet, 2.5))
            while sum(isinstance(event, CoresShared) for event in events) < len(fleet.machines):
                events.append(await fleet.event())

    run(scenario)
    seconds = [one for one in events if isinstance(one, MachineSecond)]
    for machine in names:
        mine = [one for one in seconds if one.machine == machine]
        covered = [n for one in mine for n in range(one.interval, one.interval + one.span)]
        assert covered == [0, 1, 2]
        assert sum(one.window_ns for one in mine) == 2.5 * NS_PER_S
        assert all(one.window == 0 and engine.core_ns > 0 for one in mine for engine in one.engines)
        assert all(one.tcp_retransmits >= 0 for one in mine)


def test_stop_ends_every_worker(make: Callable[[], Fleet]) -> None:
    async def scenario() -> None:
        async with opened(make) as fleet:
            await fleet.command(soon(fleet, 60))
            await asyncio.sleep(0.3)
            await fleet.command(Stop())
            events = await until_all_ended(fleet)
        ends = [event for event in events if isinstance(event, SegmentEnded)]
        assert sorted(end.worker for end in ends) == sorted(workers_of(fleet.machines))
        assert {end.why for end in ends} == {"stopped"}

    run(scenario)


def test_a_worker_that_cannot_get_ready_reports_the_reason(make: Callable[[], Fleet]) -> None:
    async def scenario() -> None:
        with pytest.raises(TargetError, match="t0"):
            async with opened(make, host="nowhere.invalid"):
                pass

    run(scenario)


def test_a_dismissed_worker_stops_and_the_others_continue(make: Callable[[], Fleet]) -> None:
    async def scenario() -> None:
        async with opened(make) as fleet:
            gone, *others = workers_of(fleet.machines)
            await fleet.command(Dismiss(gone))
            await fleet.command(soon(fleet, 0.2))
            events: list[AgentEvent] = []
            while not isinstance(event := await fleet.event(), SegmentEnded):
                events.append(event)
            assert {
                by(one) for one in apart([*events, event]) if not isinstance(one, EngineReady | MachineSecond)
            } == set(others)

    run(scenario)


def _until_dead(pid: int) -> None:
    while alive(pid):
        time.sleep(0.01)


def test_a_suspended_engine_that_was_dismissed_does_not_return() -> None:
    async def scenario() -> None:
        async with opened(lambda: LocalFleet(2)) as fleet:
            assert isinstance(fleet, LocalFleet)
            os.kill(fleet.pids[0], signal.SIGSTOP)
            await fleet.command(Dismiss("local/0"))
            await asyncio.to_thread(_until_dead, fleet.pids[0])

    run(scenario)


def test_an_engine_that_cannot_be_started_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(subprocess, "Popen", refuse)

    async def scenario() -> None:
        with pytest.raises(FleetError, match="engine w0 cannot be started: Too many open files"):
            await agent_of("w0").open()

    run(scenario)


def test_late_engines_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadgen.agent.engines._START_TIMEOUT_S", 0.01)

    async def scenario() -> None:
        agent = agent_of("w0", "w1")
        try:
            with pytest.raises(FleetError, match=r"engines did not start within 0\.01 s: w0, w1"):
                await agent.open()
        finally:
            await agent.close()

    run(scenario)


def test_a_killed_engine_is_named_and_the_other_continues() -> None:
    async def scenario() -> None:
        async with opened(lambda: LocalFleet(2)) as fleet:
            assert isinstance(fleet, LocalFleet)
            await fleet.command(Start(segment(1)))
            await asyncio.sleep(0.3)
            os.kill(fleet.pids[0], signal.SIGKILL)
            events = await until_all_ended(fleet)
        lost = [event for event in events if isinstance(event, EngineLost)]
        assert lost == [EngineLost("local/0", "killed by signal 9")]
        assert SegmentEnded("local/1", 0, "complete") in events

    run(scenario)


def test_traffic_stops_without_renewals_of_the_lease() -> None:
    """The agent exists but is suspended: pipes stay open, and only the renewals are missing."""

    async def scenario() -> None:
        events: asyncio.Queue[AgentEvent] = asyncio.Queue()
        agent = Agent(["w"], events.put_nowait, machine="here", ours=lambda: [os.getpid()])
        async with ScriptedServer(good) as server:
            await agent.open()
            try:
                await agent.prepare(assignments(FakeFleet(["w"]), server.port))
                await agent.start(segment(30))
                while not isinstance(event := await events.get(), SegmentEnded):
                    pass
            finally:
                await agent.close()
        assert event == SegmentEnded("w", 0, "lease expired")

    run(scenario)


@pytest.mark.parametrize("engines", [1, 4])
def test_each_connection_plays_the_same_operations_on_any_number_of_engines(engines: int) -> None:
    connections, rows = 8, 200
    tape = make_tape([Op(path=f"/{i // rows}/{i % rows}", size=300) for i in range(connections * rows)], connections)
    tape.starts["row"] = [connection * rows for connection in range(connections)]

    async def scenario() -> None:
        fleet = LocalFleet(engines)
        async with ScriptedServer(good) as server:
            await fleet.open()
            try:
                given = [
                    replace(one, shard=Shard(tuple(range(i, connections, engines))), shares=(connections,), tape=tape)
                    for i, one in enumerate(assignments(fleet, server.port))
                ]
                await fleet.command(Prepare(given))
                await fleet.command(Start(segment(0.5)))
                await until_all_ended(fleet)
            finally:
                await fleet.close()
        played = [path.split("/")[1:] for path in server.requests]
        for connection in range(connections):
            mine = [int(row) for who, row in played if int(who) == connection]
            assert len(mine) >= 10
            assert mine == list(range(len(mine)))

    run(scenario)


def test_a_suspended_engine_is_named_long_before_its_segment_ends() -> None:
    async def scenario() -> None:
        async with opened(lambda: LocalFleet(2)) as fleet:
            assert isinstance(fleet, LocalFleet)
            await fleet.command(Start(segment(30)))
            await asyncio.sleep(0.3)
            os.kill(fleet.pids[0], signal.SIGSTOP)
            frozen_ns = time.monotonic_ns()
            while not isinstance(event := await fleet.event(), EngineLost):
                pass
            assert time.monotonic_ns() - frozen_ns < 15 * NS_PER_S  # within 3 s if the machine is not busy
            assert event.worker == "local/0"
            assert event.why.startswith("silent for ")

    run(scenario)


def test_workers_without_an_assignment_are_ended(make: Callable[[], Fleet]) -> None:
    async def scenario() -> None:
        fleet = make()
        async with ScriptedServer(good) as server:
            await fleet.open()
            try:
                first, *_ = assignments(fleet, server.port)
                await fleet.command(Prepare([first]))
                await fleet.command(soon(fleet, 0.2))
                events: list[AgentEvent] = []
                while not isinstance(event := await fleet.event(), SegmentEnded):
                    events.append(event)
            finally:
                await fleet.close()
        assert {by(one) for one in apart([*events, event]) if not isinstance(one, MachineSecond)} == {first.worker}

    run(scenario)
