"""A Dask client and the agents behind it, without Dask: a call is answered at once, or as the test defines."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from coordinator.fleet.dask.fleet import DaskFleet
from coordinator.fleet.ways import Joined
from loadgen.agent.chunk import hash_of
from loadgen.host import frames
from loadgen.measure.events import AgentEvent, event_to_wire
from loadgen.model.plan import OnLoss

RUN = "run1"


class FakeAgent:
    """Answers calls as an agent does.

    `answers` overrides the answer to a call by its name; a RuntimeError is raised, as the client itself would raise it.
    Calls in `mute` are never answered.  `greeted` is called when hello has arrived; the answer to hello takes
    `patience_s`.
    """

    def __init__(self, name: str, *, engines: int = 2, ahead_ns: int = 0) -> None:
        self.name = name
        self.address = f"tcp://{name}"
        self.workers = [f"{name}/{i}" for i in range(engines)]
        self.ahead_ns = ahead_ns
        self.spool = b""
        self.sent = 0
        self.seq = 0
        self.heard: tuple[int, int] | None = None
        self.asked: list[tuple[str, tuple[Any, ...]]] = []
        self.answers: dict[str, Any] = {}
        self.mute: set[str] = set()
        self.greeted: Callable[[], object] = lambda: None
        self.patience_s = 0.001

    def now_ns(self) -> int:
        return time.monotonic_ns() + self.ahead_ns

    def count(self, call: str) -> int:
        return sum(name == call for name, _ in self.asked)

    async def answer(self, call: str, arguments: tuple[Any, ...]) -> Any:
        self.asked.append((call, arguments))
        if call in self.mute:
            await asyncio.Event().wait()
        if call in self.answers:
            return self.answers[call]
        match call:
            case "hello":
                self.greeted()
                await asyncio.sleep(self.patience_s)
                return {
                    "workers": self.workers,
                    "cores": 2,
                    "open_files": 1024,
                    "memory_bytes": 1,
                    "kernel": "6.1",
                    "python": "3.11.7",
                    "loadgen": "0.1.0",
                    "sysctls": {},
                    "spool": "/spool",
                    "spool_free_bytes": 1,
                }
            case "clock":
                return {"at_ns": self.now_ns()}
            case "renew" | "renew_group":
                return {"at_ns": self.now_ns(), "known": True}
            case "take_plan":
                return {"digest": hashlib.sha256(arguments[1]).hexdigest()}
            case "start":
                return {"armed": self.workers}
            case "read_spool":
                offset, size = arguments[2:4]
                return {**self.piece(offset, size), "total_bytes": len(self.spool)}
            case "finish":
                return {"bytes": len(self.spool)}
            case _:
                return {}

    def happened(self, *events: AgentEvent) -> None:
        self.spool += b"".join(frames.encode(event_to_wire(event)) for event in events)

    def piece(self, offset: int, size: int = 1 << 20) -> dict[str, Any]:
        data = self.spool[offset : offset + size]
        return {"offset": offset, "data": data, "sha256": hash_of(offset, bytes(data))}

    def heartbeat(self, **other: Any) -> dict[str, Any]:
        """Return the next heartbeat, with the new data of the spool; `other` overrides fields."""
        chunk = self.piece(self.sent) if self.sent < len(self.spool) else None
        self.sent = len(self.spool)
        self.seq += 1
        return {
            "machine": self.name,
            "seq": self.seq,
            "at_ns": self.now_ns(),
            "heard": self.heard,
            "state": "ready",
            "engines": len(self.workers),
            "cpu_share": 0.25,
            "spool_bytes": len(self.spool),
            "chunk": chunk,
            "log": [],
            "log_dropped": 0,
            "problem": "",
            "worker": self.address,  # the scheduler adds this field
            **other,
        }


class FakeClient:
    """The part of `distributed.Client` that a fleet uses."""

    def __init__(self, agents: Sequence[FakeAgent]) -> None:
        self._agents = {agent.address: agent for agent in agents}
        self.asked_nobody = 0

    async def run(
        self, call: Callable[..., Any], *arguments: Any, workers: Sequence[str], on_error: str
    ) -> dict[str, Any]:
        assert on_error == "return"
        self.asked_nobody += not workers
        await asyncio.sleep(0)
        asked = [self._agents[address].answer(call.__name__, arguments) for address in workers]
        answers = dict(zip(workers, await asyncio.gather(*asked), strict=True))
        for answer in answers.values():
            if isinstance(answer, RuntimeError):
                raise answer
        return answers


class FakeLine:
    """Carries messages of agents.

    With `posts`, it also carries messages that need no answer; an agent has them in `asked` under their `op`.
    """

    def __init__(self, agents: Sequence[FakeAgent], *, posts: bool) -> None:
        self.client = FakeClient(agents)
        self.posts = posts
        self._agents = {agent.address: agent for agent in agents}
        self._topics: dict[str, Callable[[Any], None]] = {}

    def listen(self, topic: str, hear: Callable[[Any], None]) -> None:
        self._topics[topic] = hear

    def post(self, messages: Mapping[str, dict[str, Any]]) -> bool:
        if self.posts:
            for address, message in messages.items():
                rest = dict(message)
                self._agents[address].asked.append((rest.pop("op"), tuple(rest.values())))
        return self.posts

    def beat(self, message: Any) -> None:
        self._topics[f"loadgen-{RUN}"](message)

    def news(self, message: Any) -> None:
        self._topics["all"](message)

    def part(self, agent: FakeAgent) -> None:
        self.news({"action": "remove-worker", "worker": agent.address})


class FakeWay:
    """A Way to agents that exist already; `given_up` holds the agents that the fleet gave up as lost."""

    def __init__(self, agents: Sequence[FakeAgent], missing: Mapping[str, str], *, posts: bool) -> None:
        self.line = FakeLine(agents, posts=posts)
        self.missing = missing
        self.given_up: list[str] = []
        self.closed = 0
        self._agents = agents

    async def open(self) -> tuple[Joined, ...]:
        return tuple(Joined(name=agent.name, address=agent.address) for agent in self._agents)

    async def lose(self, name: str) -> None:
        self.given_up.append(name)

    async def close(self) -> None:
        self.closed += 1


class Scene:
    """A fleet of agents, and the events that the fleet reported."""

    def __init__(
        self,
        *agents: FakeAgent,
        on_loss: OnLoss = OnLoss.DEGRADE,
        missing: Mapping[str, str] | None = None,
        posts: bool = False,
    ) -> None:
        self.agents = agents
        self.way = FakeWay(agents, missing or {}, posts=posts)
        self.log: list[tuple[str, str]] = []
        self.fleet = DaskFleet(
            self.way,
            run_id=RUN,
            engines=2,
            on_loss=on_loss,
            on_log=lambda machine, line: self.log.append((machine, line)),
        )

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[Scene]:
        try:
            await self.fleet.open()
            yield self
        finally:
            await self.fleet.close()

    def beat(self, agent: FakeAgent, **other: Any) -> None:
        self.way.line.beat(agent.heartbeat(**other))

    async def events(self, count: int) -> list[AgentEvent]:
        """Return the next `count` events; fails when fewer or more arrive."""
        async with asyncio.timeout(5):
            got = [await self.fleet.event() for _ in range(count)]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                got.append(await self.fleet.event())
        assert len(got) == count
        return got
