"""Leases of a fleet on Dask, with doubles of agents: the time and the content of renewals."""

from __future__ import annotations

import asyncio
import time

import pytest

from coordinator.fleet.api import Start, Stop
from coordinator.fleet.dask import fleet as fleets
from loadgen.agent.dask.plugin import RENEW, STOP
from loadgen.engine.api import LEASE_NS
from loadgen.measure.events import (
    EngineLost,
)
from loadgen.model.units import NS_PER_MS, NS_PER_S
from tests.support.calm import in_a_calm_moment
from tests.support.dask_doubles import RUN, FakeAgent, Scene
from tests.support.scenes import ended, run, segment, until


@in_a_calm_moment
def test_a_lease_counts_from_the_sending_of_its_renewal_which_reports_received_bytes(
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
            assert stuck.count("renew") == 1  # renewals do not accumulate, and no other machine waits for this one

    run(scenario)


def test_many_machines_are_renewed_in_groups_that_do_not_wait_for_each_other(
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
            await until(lambda: min(one.count("renew") for one in agents) >= 2)  # by itself, in turn
            assert b.count("renew_group") > b.count("renew")

            stuck.mute.add("renew_group")
            before = a.count("renew_group")
            await until(lambda: a.count("renew_group") >= before + 8)
            stuck.mute.clear()
            gone.answers["renew_group"] = {"at_ns": 1, "known": False}
            await scene.events(1 + 2)
            assert {one.name: one.why for one in scene.fleet.status() if one.why} == {
                "gone": "it ended its engines because no renewal of its lease reached it in time"
            }

    run(scenario)


def test_one_machine_at_a_time_is_asked_for_its_clock_although_renewals_are_posted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fleets, "_MANY", 1)
    monkeypatch.setattr(fleets, "_RENEW_MANY_S", 0.02)
    agents = [FakeAgent("a"), FakeAgent("b")]

    async def scenario() -> None:
        async with Scene(*agents, posts=True).opened() as scene:
            await until(lambda: min(one.count("renew") for one in agents) >= 2)
            assert all(one.count(RENEW) > one.count("renew") for one in agents)
            assert scene.way.line.client.asked_nobody == 0

    run(scenario)


@in_a_calm_moment
def test_posted_renewals_do_not_wait_for_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
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
            a.ahead_ns += NS_PER_S  # its clock jumps, and the next heartbeat shows that
            a.heard = time.monotonic_ns(), a.now_ns()
            scene.beat(a)  # an answer to a renewal that was never sent
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


def test_a_machine_whose_clock_leaps_during_the_run_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleets, "_RENEW_S", 0.02)
    a, b = FakeAgent("a", engines=1), FakeAgent("b", engines=1)

    async def scenario() -> None:
        async with Scene(a, b).opened() as scene:
            a.ahead_ns += NS_PER_S  # before the start, its clock is measured anew
            await until(lambda: abs(scene.fleet.clocks()["a"].offset_ns - a.ahead_ns) < 50 * NS_PER_MS)
            await scene.fleet.command(Start(segment(NS_PER_S)))
            b.ahead_ns -= NS_PER_S
            (lost,) = await scene.events(1)
            assert isinstance(lost, EngineLost)
            assert lost.worker == "b/0"
            assert lost.why.startswith("machine b is lost: its clock and the coordinator's moved apart by ")
            assert [one.why for one in scene.fleet.status() if one.name == "a"] == [""]

    run(scenario)


def test_a_machine_with_a_late_heartbeat_is_renewed_separately(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleets, "_MANY", 1)
    monkeypatch.setattr(fleets, "_RENEW_MANY_S", 0.02)
    monkeypatch.setattr(fleets, "OVERDUE_NS", 100 * NS_PER_MS)
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


def test_a_machine_that_no_longer_serves_the_run_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleets, "_RENEW_S", 0.02)
    a, b = FakeAgent("a"), FakeAgent("b", engines=1)

    async def scenario() -> None:
        async with Scene(a, b).opened() as scene:
            b.answers["renew"] = {"at_ns": 1, "known": False}
            (event,) = await scene.events(1)
            assert isinstance(event, EngineLost)
            assert event.worker == "b/0"
            assert "machine b is lost: it ended its engines" in event.why

    run(scenario)
