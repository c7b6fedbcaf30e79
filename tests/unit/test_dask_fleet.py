"""The coordinator's side of a fleet, over agents that are played: losses, spoilt messages, clocks, results."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator.fleet.api import Dismiss, Prepare, Start, Stop
from coordinator.fleet.dask import fleet as fleets
from coordinator.fleet.dask import machine as machines
from loadgen.agent.dask.plugin import RENEW, STOP
from loadgen.engine.api import LEASE_NS, Assignment, Load, Segment
from loadgen.host import frames
from loadgen.measure.events import (
    AgentEvent,
    CoresShared,
    EngineLost,
    SegmentBegan,
    SegmentEnded,
    apart,
    event_to_wire,
)
from loadgen.measure.snapshot import Snapshot
from loadgen.measure.together import Snapshots
from loadgen.model.bound import Bound
from loadgen.model.errors import FleetError, TargetError
from loadgen.model.machine import MachineState
from loadgen.model.plan import OnLoss
from loadgen.model.shard import Shard
from loadgen.model.target import Target
from loadgen.model.units import NS_PER_MS, NS_PER_S
from tests.support.dask_doubles import RUN, FakeAgent, Scene
from tests.support.snapshots import cell, snapshot, tally
from tests.support.tapes import Op, make_tape


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(scenario(), 20)

    asyncio.run(bounded())


def segment(lead_ns: int) -> Segment:
    start_ns = time.monotonic_ns() + lead_ns
    end_ns = start_ns + NS_PER_S
    return Segment(
        index=3,
        origin_ns=start_ns,
        start_ns=start_ns,
        window_start_ns=start_ns,
        window_end_ns=end_ns,
        end_ns=end_ns,
    )


def prepare(*workers: str) -> Prepare:
    given = Assignment(
        worker="",
        shard=Shard((0,)),
        targets=(Target(name="t0", host="127.0.0.1", port=1),),
        shares=(4,),
        tape=make_tape([Op()], 4),
        load=Load(line_bps=400_000, bound=Bound.rate(320_000), timeout_ns=NS_PER_S),
    )
    return Prepare([replace(given, worker=worker, shard=Shard((i,))) for i, worker in enumerate(workers)])


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0.001)


def ended(worker: str, segment: int = 0) -> SegmentEnded:
    return SegmentEnded(worker, segment, "complete")


def test_a_segment_is_told_and_reported_in_each_machines_own_clock() -> None:
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


def test_a_lease_is_renewed_from_the_moment_of_sending_and_says_what_has_arrived(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fleets, "_RENEW_S", 0.02)
    a, stuck = FakeAgent("a", ahead_ns=5 * NS_PER_S), FakeAgent("b")
    stuck.mute.add("renew")

    async def scenario() -> None:
        async with Scene(a, stuck).opened() as scene:
            a.happened(ended("a/0"))
            scene.beat(a)
            before_ns = time.monotonic_ns()
            await until(lambda: a.count("renew") >= 5)
            *_, (_, (_, until_ns, acknowledged)) = [one for one in a.asked if one[0] == "renew"]
            sent_ns = until_ns - a.ahead_ns - LEASE_NS
            assert before_ns - 50 * NS_PER_MS < sent_ns < time.monotonic_ns() + 50 * NS_PER_MS
            assert acknowledged == len(a.spool)
            assert stuck.count("renew") == 1  # they do not pile up, and nobody else waits for it

    run(scenario)


def test_a_great_many_machines_are_renewed_in_groups_and_nobody_waits_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fleets, "_MANY", 3)
    monkeypatch.setattr(fleets, "_RENEW_MANY_S", 0.02)
    a, b, stuck, gone = agents = [FakeAgent(name, ahead_ns=5 * NS_PER_S) for name in ("a", "b", "stuck", "gone")]

    async def scenario() -> None:
        async with Scene(*agents).opened() as scene:
            a.happened(ended("a/0"))
            scene.beat(a)
            await until(lambda: a.count("renew_group") >= 5)
            *_, (_, (_, told)) = [one for one in a.asked if one[0] == "renew_group"]
            until_ns, acknowledged = told["a"]
            assert -50 * NS_PER_MS < time.monotonic_ns() - (until_ns - a.ahead_ns - LEASE_NS) < NS_PER_S
            assert acknowledged == len(a.spool)
            await until(lambda: min(one.count("renew") for one in agents) >= 2)  # on its own, in turn
            assert b.count("renew_group") > b.count("renew")

            stuck.mute.add("renew_group")
            before = a.count("renew_group")
            await until(lambda: a.count("renew_group") >= before + 8)
            stuck.mute.clear()
            gone.answers["renew_group"] = {"at_ns": 1, "known": False}
            await scene.events(1 + 2)
            assert {one.name: one.why for one in scene.fleet.status() if one.why} == {
                "gone": "it has ended its engines: it had not heard from here for too long"
            }

    run(scenario)


def test_one_in_turn_is_asked_for_its_clock_though_renewals_are_posted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleets, "_MANY", 1)
    monkeypatch.setattr(fleets, "_RENEW_MANY_S", 0.02)
    agents = [FakeAgent("a"), FakeAgent("b")]

    async def scenario() -> None:
        async with Scene(*agents, posts=True).opened() as scene:
            await until(lambda: min(one.count("renew") for one in agents) >= 2)
            assert all(one.count(RENEW) > one.count("renew") for one in agents)
            assert scene.way.line.client.asked_nobody == 0

    run(scenario)


def test_what_can_be_posted_waits_for_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coordinator.fleet.dask.leases._TURN", 1_000_000)
    monkeypatch.setattr(fleets, "_MANY", 1)
    monkeypatch.setattr(fleets, "_RENEW_MANY_S", 0.02)
    a, b = FakeAgent("a", ahead_ns=5 * NS_PER_S), FakeAgent("b")

    async def scenario() -> None:
        async with Scene(a, b, posts=True).opened() as scene:
            a.happened(ended("a/0"))
            scene.beat(a)
            await until(lambda: min(one.count(RENEW) for one in (a, b)) >= 3)
            assert a.count("renew_group") == b.count("renew_group") == 0
            *_, (_, (run_id, sent_ns, (until_ns, acknowledged))) = [one for one in a.asked if one[0] == RENEW]
            assert run_id == RUN
            assert -50 * NS_PER_MS < time.monotonic_ns() - (until_ns - a.ahead_ns - LEASE_NS) < NS_PER_S
            assert 0 <= until_ns - a.ahead_ns - LEASE_NS - sent_ns + 50 * NS_PER_MS < 100 * NS_PER_MS
            assert acknowledged == len(a.spool)
            asked = a.count("renew")
            a.ahead_ns += NS_PER_S  # its clock jumps; the next heartbeat tells
            a.heard = time.monotonic_ns(), a.now_ns()
            scene.beat(a)  # of a renewal that nobody sent
            await asyncio.sleep(0.05)
            assert abs(scene.fleet.clocks()["a"].offset_ns - a.ahead_ns) > NS_PER_S // 2
            posted = a.count(RENEW)
            await until(lambda: a.count(RENEW) > posted)
            *_, (_, (_, sent_ns, _)) = [one for one in a.asked if one[0] == RENEW]
            a.heard = sent_ns, a.now_ns()
            scene.beat(a)
            await until(lambda: abs(scene.fleet.clocks()["a"].offset_ns - a.ahead_ns) < 50 * NS_PER_MS)
            assert a.count("renew") == asked
            await scene.fleet.command(Stop())
            assert [one.asked[-1] for one in (a, b)] == [(STOP, (RUN, -1))] * 2
            assert a.count("stop") == 0

    run(scenario)


def test_what_machines_report_at_the_same_time_is_read_as_one_and_nonsense_costs_only_who_said_it() -> None:
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


def test_who_reports_for_another_in_what_is_read_together_is_lost() -> None:
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


def test_what_is_read_together_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_what_a_machine_sent_before_nonsense_counts() -> None:
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


def test_each_machines_reports_stay_in_their_order() -> None:
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


def test_what_came_before_a_machine_left_is_read() -> None:
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


def test_who_is_late_with_its_heartbeat_is_renewed_on_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleets, "_MANY", 1)
    monkeypatch.setattr(fleets, "_RENEW_MANY_S", 0.02)
    monkeypatch.setattr(fleets, "_OVERDUE_NS", 100 * NS_PER_MS)
    a, late = FakeAgent("a"), FakeAgent("b")

    async def scenario() -> None:
        async with Scene(a, late).opened() as scene:
            await until(lambda: late.count("renew_group") >= 1)
            late.mute.add("renew_group")
            for _ in range(20):
                scene.beat(a)
                await asyncio.sleep(0.01)
            in_groups, alone = late.count("renew_group"), late.count("renew")
            for _ in range(10):
                scene.beat(a)
                await asyncio.sleep(0.01)
            assert late.count("renew_group") == in_groups
            assert late.count("renew") > alone

    run(scenario)


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (SegmentBegan("a/0", 0, 0), "it began to play at a time that cannot be"),
        (SegmentBegan("a/0", 0, 2**62), "it began to play at a time that cannot be"),
        (snapshot("a/0", 2**31 - 1), "it reports of interval 2147483647, which is yet to come"),
    ],
    ids=["began", "begins", "interval"],
)
def test_who_speaks_of_times_that_cannot_be_is_lost(event: AgentEvent, said: str) -> None:
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


def test_who_plays_without_an_order_is_lost() -> None:
    a = FakeAgent("a", engines=1)

    async def scenario() -> None:
        async with Scene(a).opened() as scene:
            a.happened(SegmentBegan("a/0", 0, a.now_ns()))
            scene.beat(a)
            (lost,) = await scene.events(1)
            assert isinstance(lost, EngineLost)
            assert "it began to play at a time that cannot be" in lost.why

    run(scenario)


def test_who_no_longer_serves_the_run_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleets, "_RENEW_S", 0.02)
    a, b = FakeAgent("a"), FakeAgent("b", engines=1)

    async def scenario() -> None:
        async with Scene(a, b).opened() as scene:
            b.answers["renew"] = {"at_ns": 1, "known": False}
            (event,) = await scene.events(1)
            assert isinstance(event, EngineLost)
            assert event.worker == "b/0"
            assert "machine b is lost: it has ended its engines" in event.why

    run(scenario)


@pytest.mark.parametrize(
    ("call", "answer", "said"),
    [
        ("hello", {"failed": {"whose": "fleet", "message": "b has loadgen 9", "hint": "x"}}, "b has loadgen 9"),
        ("hello", {"workers": ["a/0"]}, "it sent something unreadable"),
        ("hello", None, "it sent something unreadable"),
        ("hello", ModuleNotFoundError("No module named 'coordinator'"), "is not installed there"),
        ("hello", OSError("timed out"), "cannot be reached: timed out"),
        ("hello", RuntimeError("closed"), "RuntimeError: closed"),
        ("clock", {"at_ns": "noon"}, "it sent something unreadable"),
    ],
)
def test_who_cannot_be_used_is_missing_and_named(call: str, answer: Any, said: str) -> None:
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


def test_pieces_that_did_not_arrive_are_fetched_and_every_event_comes_once() -> None:
    a = FakeAgent("a")

    async def scenario() -> None:
        async with Scene(a).opened() as scene:
            a.happened(ended("a/0", 1))
            a.heartbeat()  # it is lost
            a.happened(ended("a/0", 2))
            scene.beat(a)
            assert await scene.events(2) == [ended("a/0", 1), ended("a/0", 2)]
            a.happened(ended("a/0", 3))
            beat = a.heartbeat()
            beat["chunk"]["sha256"] = "0" * 64
            scene.way.line.beat(beat)
            assert await scene.events(1) == [ended("a/0", 3)]
            scene.beat(a, chunk=a.piece(0))  # all of it again
            scene.beat(a, problem="its spool could not be written any more")
            a.happened(CoresShared("a", 0.5, "cc1"))
            await scene.fleet.settle()  # without any heartbeat
            assert await scene.events(1) == [CoresShared("a", 0.5, "cc1")]
            pulls = a.count("read_spool")
        assert pulls == 3
        assert ("leave", ("run1", True)) in a.asked
        assert scene.fleet.problems == ["a: its spool could not be written any more"]

    run(scenario)


def test_a_machine_that_reports_before_its_hello_is_read_is_understood() -> None:
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


def test_what_happens_while_others_say_hello_is_told_but_not_of_who_is_missing() -> None:
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


def test_a_lost_machine_is_reported_once_and_given_up_and_no_event_of_it_comes_any_more() -> None:
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
                ended("b/1"),  # it came before
                EngineLost("b/1", why),  # b/2 had no part in the run
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
        assert b.count("leave") == 0  # it was never reached again
        (problem,) = scene.fleet.problems
        assert problem == (
            "b: some of its results may be missing (it was lost: its connection ended); loadgen collect fetches them"
        )

    run(scenario)


def test_a_machine_that_was_heard_again_is_dismissed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "_DISMISS_TIMEOUT_S", 0.02)
    a, b = FakeAgent("a"), FakeAgent("b")
    b.mute.add("dismiss")

    async def scenario() -> None:
        async with Scene(a, b).opened() as scene:
            scene.way.line.part(b)
            await scene.events(2)
            await asyncio.sleep(0.03)
            assert b.count("dismiss") == 1  # it is not reached
            b.mute.clear()
            for _ in range(5):
                scene.beat(b)
                await asyncio.sleep(0.002)
            assert b.count("dismiss") == 2
        assert ("leave", ("run1", False)) in b.asked

    run(scenario)


def test_a_machine_that_says_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleets, "_SILENCE_NS", 200 * NS_PER_MS)
    a = FakeAgent("a", engines=1)

    async def scenario() -> None:
        async with Scene(a).opened() as scene:
            scene.beat(a)
            (event,) = await scene.events(1)
            assert isinstance(event, EngineLost)
            assert event.why.startswith("machine a is lost: silent for 0.")
            await until(lambda: scene.way.given_up == ["a"])

    run(scenario)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ({"seq": "first"}, "field 'seq'"),
        ({"machine": "a"}, "it calls itself 'a'"),
        ({"spool_bytes": -1}, "field 'spool_bytes'"),
        ({"chunk": {"offset": 0}}, "field 'data'"),
    ],
)
def test_a_machine_that_sends_nonsense_is_lost_and_another_is_not(spoil: dict[str, Any], said: str) -> None:
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
def test_a_machine_that_speaks_for_another_is_lost(event: AgentEvent) -> None:
    a, b = FakeAgent("a"), FakeAgent("b", engines=1)

    async def scenario() -> None:
        async with Scene(a, b).opened() as scene:
            b.happened(event)
            scene.beat(b)
            (lost,) = await scene.events(1)
            assert isinstance(lost, EngineLost)
            assert "it speaks for" in lost.why

    run(scenario)


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


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
                if isinstance(message, dict):  # some field of a heartbeat, or more
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


def test_who_is_not_armed_in_time_is_lost_and_the_others_start() -> None:
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


def test_stop_does_not_wait_for_who_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_refusal_to_prepare_says_who_and_whose_fault_it_is() -> None:
    a, b = FakeAgent("a"), FakeAgent("b")
    b.answers["prepare"] = {"failed": {"whose": "target", "message": "t0 is unknown", "hint": "look"}}

    async def scenario() -> None:
        async with Scene(a, b).opened() as scene:
            with pytest.raises(TargetError, match="b: t0 is unknown"):
                await scene.fleet.command(prepare("a/0", "b/0"))
            b.answers["take_plan"] = {"digest": "0" * 64}
            with pytest.raises(FleetError, match="b: the plan arrived spoilt"):
                await scene.fleet.command(prepare("a/0", "b/0"))

    run(scenario)


def test_who_has_no_part_in_the_run_is_not_sent_the_plan() -> None:
    a, b = FakeAgent("a"), FakeAgent("b")

    async def scenario() -> None:
        async with Scene(a, b).opened() as scene:
            await scene.fleet.command(prepare("a/1"))
            await scene.fleet.command(Start(segment(NS_PER_S)))
            assert (b.count("take_plan"), b.count("dismiss"), b.count("start")) == (0, 1, 0)
            assert [one.engines for one in scene.fleet.status()] == [1, 0]

    run(scenario)


@pytest.mark.parametrize(
    ("finish", "said"),
    [
        ({"bytes": 10**6}, "byte 47 of its results does not arrive intact"),
        ({"bytes": 0}, "it has 0 bytes of results, and 47 came"),
        ({}, "it sent something unreadable"),
        (OSError("gone"), "cannot be reached: gone"),
    ],
)
def test_what_is_not_fetched_at_the_end_stays_there_and_is_told(finish: Any, said: str) -> None:
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
        assert problem.endswith("; loadgen collect fetches them")
        assert scene.way.closed == 1

    run(scenario)


def test_the_log_of_a_machine_is_passed_on_up_to_a_megabyte() -> None:
    a = FakeAgent("a")

    async def scenario() -> None:
        async with Scene(a).opened() as scene:
            scene.beat(a, log=["hello", "x" * 4000], log_dropped=2)
            for _ in range(3):
                scene.beat(a, log=["y" * 4000] * 100)
            await until(lambda: scene.log[-1:] == [("a", "(more was said, and is not kept)")])
            assert scene.log[:3] == [("a", "hello"), ("a", "x" * 4000), ("a", "(2 lines were dropped)")]
            assert sum(len(line) for _, line in scene.log) <= 1 << 20

    run(scenario)
