"""The agent of a load machine, over a real Dask scheduler: its answers, its reports, its results, and its end."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
import signal
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop
from distributed import Worker

from coordinator.fleet.certificates import Authority
from coordinator.fleet.dask.hub import Hub
from coordinator.fleet.stream import Stream
from loadgen.agent import duty as duties
from loadgen.agent import engines as agents
from loadgen.agent import facts
from loadgen.agent import spool as spools
from loadgen.agent.chunk import Chunk, hash_of
from loadgen.agent.credentials import Credentials
from loadgen.agent.dask import calls
from loadgen.agent.dask.join import be_agent
from loadgen.agent.dask.plugin import RENEW, STOP, AgentPlugin
from loadgen.agent.dask.security import security
from loadgen.agent.messages import Heartbeat
from loadgen.engine.api import LEASE_NS, Assignment, Load
from loadgen.measure.events import AgentEvent, CoresShared, SegmentBegan, SegmentEnded, event_from_wire
from loadgen.measure.together import Snapshots
from loadgen.model.bound import Bound
from loadgen.model.errors import FleetError
from loadgen.model.shard import Shard
from loadgen.model.target import Target
from loadgen.model.units import NS_PER_S
from tests.support.calm import in_a_calm_moment
from tests.support.cli import alive, command_of, descendants
from tests.support.scripted import ScriptedServer, good
from tests.support.tapes import Op, make_tape

RUN = "run-of-a-test"
OVER_S = 3.0
"""The agent's time limit of 2 s, and the delay of a busy machine."""


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(scenario(), 60)

    uvloop.run(bounded())


def engines_of(run_id: str = RUN) -> list[int]:
    return [pid for pid in descendants(os.getpid()) if alive(pid) and run_id in command_of(pid).split()]


class Coordinator:
    """Sends calls to an agent, and collects its reports."""

    def __init__(self, client: Any, address: str, run_id: str = RUN) -> None:
        self._client = client
        self.address = address
        self.run_id = run_id
        self.beats: list[Heartbeat] = []
        self.stream = Stream()
        self.events: list[AgentEvent] = []
        self._news = asyncio.Event()
        client.subscribe_topic(f"loadgen-{run_id}", self._heard)

    def _heard(self, event: tuple[float, Any]) -> None:
        beat = Heartbeat.from_wire(event[1])
        self.beats.append(beat)
        if beat.chunk is not None:
            self.events += map(event_from_wire, self.stream.take(beat.chunk))
        self._news.set()

    async def ask(self, call: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
        answers = await self._client.run(call, *arguments, workers=[self.address])
        found = answers[self.address]
        assert isinstance(found, dict)
        return found

    async def hello(self, engines: int = 1, **versions: str) -> dict[str, Any]:
        return await self.ask(calls.hello, self.run_id, "m", engines, {**facts.versions(), **versions}, "")

    async def renew(self) -> dict[str, Any]:
        return await self.ask(calls.renew, self.run_id, time.monotonic_ns() + LEASE_NS, self.stream.received)

    async def play(self, port: int, workers: list[str], length_s: float) -> None:
        """Prepare the agent, and start a segment in 0.2 s."""
        common = Assignment(
            worker="",
            shard=Shard(()),
            targets=(Target(name="t0", host="127.0.0.1", port=port),),
            shares=(4,),
            tape=make_tape([Op()], 4),
            load=Load(line_bps=400_000, bound=Bound.rate(320_000), timeout_ns=NS_PER_S),
        ).to_wire()
        shared = {name: value for name, value in common.items() if name not in ("worker", "shard")}
        blob = duties.pack_plan({**shared, "own": dict.fromkeys(workers, (0, 0))})
        digest = hashlib.sha256(blob).hexdigest()
        assert await self.ask(calls.take_plan, self.run_id, blob) == {"digest": digest}
        shards = {worker: Shard(tuple(range(i, 4, len(workers)))).to_wire() for i, worker in enumerate(workers)}
        assert await self.ask(calls.prepare, self.run_id, digest, shards) == {}
        start_ns = time.monotonic_ns() + NS_PER_S // 2
        end_ns = start_ns + int(length_s * NS_PER_S)
        segment = {
            "index": 0,
            "origin_ns": start_ns - 8 * NS_PER_S // 10,  # so that the first report follows soon
            "start_ns": start_ns,
            "window_start_ns": start_ns,
            "window_end_ns": end_ns,
            "end_ns": end_ns,
        }
        assert await self.ask(calls.start, self.run_id, segment) == {"armed": workers}

    async def until(self, kind: type[AgentEvent], count: int = 1) -> None:
        async with asyncio.timeout(20):
            while sum(isinstance(event, kind) for event in self.events) < count:
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def joined(
    spool: Path, credentials: tuple[Credentials, Credentials] | None = None
) -> AsyncIterator[tuple[Hub, Coordinator, asyncio.Event, asyncio.Task[None]]]:
    ours, theirs = credentials or (None, None)
    async with Hub(["127.0.0.1"], 0, ours) as hub:
        until = asyncio.Event()
        agent = asyncio.create_task(
            be_agent(
                hub.contact("127.0.0.1"), name="m", bind="", security=security(theirs), until=until, spool=str(spool)
            )
        )
        try:
            address = (await hub.joined(["m"], 10))["m"]
            yield hub, Coordinator(hub.client, address), until, agent
        finally:
            until.set()
            await agent
    assert engines_of() == []


def spooled(spool: Path, run_id: str = RUN) -> list[AgentEvent]:
    """Return the events in the spool that the agent has left."""
    data = (spool / run_id / "m.spool").read_bytes()
    whole = Chunk(offset=0, data=data, sha256=hash_of(0, data))
    return list(map(event_from_wire, Stream().take(whole)))


def left_in(spool: Path) -> list[Path]:
    return list(spool.iterdir())


def refusal(answer: dict[str, Any]) -> str:
    failed = answer["failed"]
    assert failed["whose"] == "fleet"
    assert isinstance(failed["message"], str)
    return failed["message"]


def test_a_run_from_hello_to_leave(tmp_path: Path) -> None:
    async def scenario() -> None:
        authority = Authority()
        async with (
            joined(tmp_path, (authority.issue("coordinator"), authority.issue("m"))) as (_, coordinator, _, _),
            ScriptedServer(good) as server,
        ):
            answer = await coordinator.hello(engines=2)
            assert answer["workers"] == ["m/0", "m/1"]
            assert (answer["spool"], answer["pid"]) == (str(tmp_path), os.getpid())
            assert abs((await coordinator.ask(calls.clock))["at_ns"] - time.monotonic_ns()) < NS_PER_S
            assert len(engines_of()) == 2
            await coordinator.play(server.port, ["m/0", "m/1"], 0.3)
            await coordinator.until(SegmentBegan, 2)
            assert (await coordinator.renew())["known"] is True
            await coordinator.until(SegmentEnded, 2)
            coordinator.events += map(event_from_wire, coordinator.stream.take(await unfetched(coordinator)))
            assert any(isinstance(event, CoresShared) for event in coordinator.events), "nobody has to wait for it"
            assert [event.why for event in coordinator.events if isinstance(event, SegmentEnded)] == ["complete"] * 2
            assert any(isinstance(event, Snapshots) for event in coordinator.events)
            assert {"armed", "playing"} & {beat.state.value for beat in coordinator.beats}
            assert [beat.seq for beat in coordinator.beats] == list(range(1, len(coordinator.beats) + 1))

            end = await coordinator.ask(calls.finish, RUN)
            coordinator.events += map(event_from_wire, coordinator.stream.take(await unfetched(coordinator)))
            assert end == {"bytes": coordinator.stream.received}
            assert (tmp_path / RUN / "m.spool").stat().st_size == end["bytes"]
            assert await coordinator.ask(calls.leave, RUN, True) == {}
            assert engines_of() == []
            assert left_in(tmp_path) == []
            assert (await coordinator.renew())["known"] is False
            assert "does not serve run" in refusal(await coordinator.ask(calls.finish, RUN))

    run(scenario)


@in_a_calm_moment
def test_what_happens_does_not_wait_for_the_next_second(tmp_path_factory: pytest.TempPathFactory) -> None:
    async def scenario() -> None:
        async with (
            joined(tmp_path_factory.mktemp("agent")) as (_, coordinator, _, _),
            ScriptedServer(good) as server,
        ):
            await coordinator.hello(engines=2)
            await coordinator.play(server.port, ["m/0", "m/1"], 0.3)
            await coordinator.until(SegmentEnded, 2)
            apart = [late.at_ns - early.at_ns for early, late in itertools.pairwise(coordinator.beats)]
            assert sum(gap < NS_PER_S // 2 for gap in apart) >= 2
            await coordinator.ask(calls.leave, RUN, True)

    run(scenario)


def test_posted_messages_renew_the_lease_and_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An expired lease is reported as "the coordinator is gone"; a stop is not."""
    monkeypatch.setattr("loadgen.agent.duty.ABANDONED_NS", NS_PER_S)

    async def scenario() -> None:
        async with ScriptedServer(good) as server, joined(tmp_path) as (hub, coordinator, _, _):
            address = coordinator.address
            assert "workers" in await coordinator.hello(engines=1)
            await coordinator.play(server.port, ["m/0"], 60)
            sent: list[int] = []
            for _ in range(12):  # longer than the agent waits for renewals
                sent.append(time.monotonic_ns())
                lease = sent[-1] + LEASE_NS, coordinator.stream.received
                assert hub.post({address: {"op": RENEW, "run_id": RUN, "sent_ns": sent[-1], "lease": lease}})
                await asyncio.sleep(0.15)
            assert not any(isinstance(event, SegmentEnded) for event in coordinator.events)
            told = [(beat.heard, beat.at_ns) for beat in coordinator.beats if beat.heard is not None]
            assert told
            assert all(sent_ns in sent and sent_ns < heard_ns <= at_ns for (sent_ns, heard_ns), at_ns in told)
            stop = {"op": STOP, "run_id": RUN, "segment": 0}
            hub.post({address: {**stop, "run_id": "another"}, "tcp://127.0.0.1:1": stop})
            assert (await coordinator.renew())["known"] is True
            hub.post({address: stop})
            await coordinator.until(SegmentEnded)
            assert [event.why for event in coordinator.events if isinstance(event, SegmentEnded)] == ["stopped"]

    run(scenario)


async def unfetched(coordinator: Coordinator) -> Chunk:
    """Fetch and return the events that have not arrived yet."""
    answer = await coordinator.ask(calls.read_spool, RUN, "m", coordinator.stream.received, 1 << 20, "")
    return Chunk.from_wire(answer)


def test_two_workers_cannot_have_the_same_name(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with joined(tmp_path) as (hub, _, _, _):
            with pytest.raises(FleetError, match="a worker named m has joined already"):
                await be_agent(
                    hub.contact("127.0.0.1"), name="m", bind="", security=security(None), until=asyncio.Event()
                )
            assert list(hub.present) == ["m"]

    run(scenario)


def test_invalid_calls_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with joined(tmp_path) as (hub, coordinator, _, _):
            assert "it has loadgen" in refusal(await coordinator.hello(loadgen="0.0.1"))
            assert "no spool of m in run" in refusal(
                await coordinator.ask(calls.read_spool, RUN, "m", 0, 100, str(tmp_path))
            )
            (tmp_path / "file").touch()
            answer = await coordinator.ask(calls.hello, RUN, "m", 1, facts.versions(), str(tmp_path / "file"))
            assert "cannot be created" in refusal(answer)
            with monkeypatch.context() as full:
                full.setattr(spools, "free_bytes", lambda directory: 1000)
                assert refusal(await coordinator.hello()) == f"it has only 1000 bytes free for its spool in {tmp_path}"
            assert engines_of() == []

            assert "workers" in await coordinator.hello()
            other = Coordinator(hub.client, coordinator.address, "another-run")
            assert refusal(await other.hello()) == f"it is busy with run {RUN}"
            assert (await other.renew())["known"] is False
            assert "another plan" in refusal(await coordinator.ask(calls.prepare, RUN, "digest", {}))
            for blob in (b"no plan at all", duties.pack_plan({"no": "plan"}), zlib.compress(b"\xc1")):
                digest = (await coordinator.ask(calls.take_plan, RUN, blob))["digest"]
                assert "cannot read the plan" in refusal(await coordinator.ask(calls.prepare, RUN, digest, {}))
            assert "cannot read the segment" in refusal(await coordinator.ask(calls.start, RUN, {"index": 0}))
            late = dict.fromkeys(
                ("index", "origin_ns", "start_ns", "window_start_ns", "window_end_ns", "end_ns"), time.monotonic_ns()
            )
            assert "arrived too late" in refusal(await coordinator.ask(calls.start, RUN, late))
            for run_id in (RUN, "unknown"):
                assert await coordinator.ask(calls.stop, run_id, 0) == {}
                assert await coordinator.ask(calls.dismiss, run_id, []) == {}
            async with asyncio.timeout(5):  # the engines were killed, and no call waits for that
                while engines_of():  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            await coordinator.ask(calls.leave, RUN, False)
            assert "workers" in await other.hello(), "it is idle again"
            assert len(engines_of("another-run")) == 1
        assert engines_of("another-run") == []

    run(scenario)


@pytest.mark.parametrize(("end", "frozen"), [("until", False), ("scheduler", True)])
def test_the_end_of_an_agent_that_plays(tmp_path: Path, end: str, frozen: bool) -> None:
    async def scenario() -> None:
        async with joined(tmp_path) as (hub, coordinator, until, agent), ScriptedServer(good) as server:
            await coordinator.hello(engines=2)
            await coordinator.play(server.port, ["m/0", "m/1"], 30)
            await coordinator.until(SegmentBegan, 2)
            pids = engines_of()
            if frozen:
                os.kill(pids[0], signal.SIGSTOP)
            if end == "until":
                until.set()
            else:
                await hub.__aexit__(None, None, None)
            async with asyncio.timeout(OVER_S):
                await agent
            assert not any(alive(pid) for pid in pids)
            ended = [event for event in spooled(tmp_path) if isinstance(event, SegmentEnded)]
            assert [event.why for event in ended] == ["stopped"] * (1 if frozen else 2)

    run(scenario)


def test_an_agent_without_renewals_ends_its_engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with joined(tmp_path) as (_, coordinator, _, _), ScriptedServer(good) as server:
            await coordinator.hello()
            await coordinator.play(server.port, ["m/0"], 30)
            await coordinator.until(SegmentBegan)
            (pid,) = engines_of()
            monkeypatch.setattr(duties, "ABANDONED_NS", 1)
            async with asyncio.timeout(OVER_S):
                while alive(pid):  # noqa: ASYNC110  # the end of the engines has no event
                    await asyncio.sleep(0.02)
            monkeypatch.undo()
            assert (await coordinator.renew())["known"] is False
            answer = await coordinator.ask(calls.read_spool, RUN, "m", 0, 1 << 20, "")
            assert answer["total_bytes"] == len(answer["data"]) > 0, "what it measured is still there"
            assert "workers" in await coordinator.ask(calls.hello, "next", "m", 1, facts.versions(), "")

    run(scenario)


def test_an_agent_in_a_users_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents, "SILENCE_S", 0.05)

    async def scenario() -> None:
        async with (
            Hub(["127.0.0.1"], 0, None) as hub,
            Worker(hub.contact("127.0.0.1"), name="w", nthreads=1, dashboard_address="127.0.0.1:0") as worker,
        ):
            await hub.joined(["w"], 10)
            coordinator = Coordinator(hub.client, worker.address)
            assert "has no agent of loadgen" in refusal(await coordinator.hello())
            plugin = AgentPlugin(RUN, spool=str(tmp_path), cores=1)
            await hub.client.register_plugin(plugin)
            await hub.client.register_plugin(AgentPlugin("another-run"))
            assert (await coordinator.hello(engines=5))["workers"] == ["m/0"]
            await asyncio.sleep(0.4)
            assert len(engines_of()) == 1, "one that has nothing to say before its first segment is not frozen"
            await hub.client.unregister_worker_plugin(plugin.name)  # type: ignore[no-untyped-call]
            assert engines_of() == []
            assert "does not serve run" in refusal(await coordinator.ask(calls.finish, RUN))

    run(scenario)


def test_a_worker_of_another_run_cannot_join(tmp_path: Path) -> None:
    async def scenario() -> None:
        mine, foreign = Authority(), Authority()
        async with Hub(["127.0.0.1"], 0, mine.issue("coordinator")) as hub:
            address = hub.contact("127.0.0.1")
            for ends, text in (
                (security(foreign.issue("m")), "cannot be joined: it has a certificate of another run"),
                (security(None), "requires a certificate"),
            ):
                with pytest.raises(FleetError, match=text):
                    await be_agent(
                        address,
                        name="m",
                        bind="",
                        security=ends,
                        until=asyncio.Event(),
                        spool=str(tmp_path),
                        patience_s=1,
                    )
            assert hub.present == {}

    run(scenario)
