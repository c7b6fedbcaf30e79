"""The canary of both engines: it keeps its schedule, and nothing of it is counted with the load."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
import uvloop
from numpy.typing import NDArray

from loadgen.engine.api import Arrivals, Assignment, Engine, Segment
from loadgen.engine.canary import PERIOD_NS
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_MS
from tests.support import scripted
from tests.support.engines import ENGINES, MakeEngine, Played, play
from tests.support.scripted import ScriptedServer
from tests.support.tapes import Op, make_tape

LENGTH_NS = 700 * NS_PER_MS
EXPECTED = LENGTH_NS // PERIOD_NS
REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while request := await reader.readuntil(b"\r\n\r\n"):
            assert request == b"GET /canary HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
            writer.write(REPLY)


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        await reader.read()


async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer two requests, then close."""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        for _ in range(2):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(REPLY)


async def shouting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(b"x" * 100_000)


@pytest.fixture(params=ENGINES.values(), ids=list(ENGINES))
def engine(request: pytest.FixtureRequest) -> MakeEngine:
    made: MakeEngine = request.param
    return made


@dataclasses.dataclass
class Run:
    """What an engine reported of its load and of its canary, and how many requests the load's server got."""

    played: Played
    canary: NDArray[np.void]
    requests: int

    def outcomes(self) -> set[Outcome]:
        return {Outcome(code) for code in self.canary["outcome"].tolist()}


def run(make: MakeEngine, handler: Handler | None, **options: Any) -> Run:
    """Play one connection beside a canary whose responder is `handler`; with None, nobody listens on its port."""

    async def scenario() -> Run:
        engines: list[Engine] = []
        handling: list[asyncio.Task[None]] = []

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            handling.append(asyncio.current_task())  # type: ignore[arg-type]  # a task runs this
            await (handler or silent)(reader, writer)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

        responder = await asyncio.start_server(handle, "127.0.0.1", 0)
        port = responder.sockets[0].getsockname()[1]
        if handler is None:
            responder.close()

        def with_canary(
            assignment: Assignment, loop: asyncio.AbstractEventLoop, ended: Callable[[Segment, str], None]
        ) -> Engine:
            engines.append(make(dataclasses.replace(assignment, canary_port=port), loop, ended))
            return engines[0]

        async with ScriptedServer(scripted.delayed(0.005)) as server:
            played = await play(with_canary, make_tape([Op()], 1), [server.port], **{"length_ns": LENGTH_NS, **options})
        responder.close()
        await asyncio.gather(*handling)
        return Run(played, engines[0].take_canary(), len(server.requests))

    return uvloop.run(asyncio.wait_for(scenario(), 60))


PACED = {"line_bps": 4_000_000}
OPEN = {"arrivals": Arrivals(rate_per_s=100, poisson=False, seed=1, part=0, parts=1, max_backlog=100)}
LOADS: dict[str, dict[str, Any]] = {
    "closed": {},
    "paced": PACED,
    "paced reads": {**PACED, "paced_reads": True},
    "open": OPEN,
}


@pytest.mark.parametrize("load", LOADS)
def test_the_canary_keeps_its_own_schedule_in_every_loop(engine: MakeEngine, load: str) -> None:
    found = run(engine, answering, **LOADS[load])
    due = found.canary["due_ns"]
    assert set(np.diff(due).tolist()) == {PERIOD_NS}
    assert len(due) > EXPECTED // 2
    assert found.outcomes() <= {Outcome.OK, Outcome.CUT}
    answered = found.canary[found.canary["outcome"] == Outcome.OK]
    assert (answered["sent_ns"] >= answered["due_ns"]).all()
    assert (answered["done_ns"] >= answered["sent_ns"]).all()


@pytest.mark.parametrize("load", LOADS)
def test_nothing_of_the_canary_is_counted_with_the_load(engine: MakeEngine, load: str) -> None:
    found = run(engine, answering, **LOADS[load])
    assert {target for _, target in found.played.totals.cells} == {0}, "the canary's server is no target"
    assert found.played.tallies()["connection"].tolist() == [0]
    cells = found.played.totals.cells.values()  # of the window, and of what a late engine began after it
    assert sum(cell.connects for cell in cells) == 1
    # The last one may be cut before the server reads it.
    assert sum(cell.lateness.total for cell in cells) - found.requests in (0, 1)
    # An open loop also cuts operations that were not sent.
    outcomes = found.played.outcomes()
    assert sum(outcomes.values()) - outcomes.get(Outcome.CUT, 0) <= found.requests


@pytest.mark.parametrize("handler", [None, silent, closing, shouting])
@pytest.mark.parametrize("load", ["closed", "open"])
def test_a_bad_responder_costs_the_load_nothing(engine: MakeEngine, load: str, handler: Handler | None) -> None:
    # The load has the same time limit as the canary: short only where the canary needs that.
    limits = {"timeout_ns": 600 * NS_PER_MS, "length_ns": 1600 * NS_PER_MS} if handler is silent else {}
    found = run(engine, handler, **LOADS[load], **limits)
    assert set(found.played.outcomes()) <= {Outcome.OK, Outcome.CUT}
    assert found.played.why == "complete"
    assert found.played.outcomes()[Outcome.OK] > 5
    possible: dict[Handler | None, set[Outcome]] = {
        None: {Outcome.REFUSED},
        silent: {Outcome.TIMED_OUT, Outcome.CUT},
        closing: {Outcome.OK, Outcome.CUT},  # it is sent again on a new connection, as any request
        shouting: {Outcome.MALFORMED, Outcome.NO_REPLY, Outcome.RESET, Outcome.CUT},
    }
    assert found.outcomes() <= possible[handler]
    assert len(found.canary) > 2


def test_operations_that_were_due_during_a_long_answer_keep_their_due_times(engine: MakeEngine) -> None:
    """A stall must show in each request that was due in it."""
    slept: list[bool] = []

    async def stalling(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                if not slept:
                    slept.append(True)
                    await asyncio.sleep(0.3)
                writer.write(REPLY)

    found = run(engine, stalling)
    assert set(np.diff(found.canary["due_ns"]).tolist()) == {PERIOD_NS}
    late = found.canary["sent_ns"] - found.canary["due_ns"]
    assert (late[1:5] > 100 * NS_PER_MS).all()


def test_an_engine_without_a_canary_has_no_records_of_one(engine: MakeEngine) -> None:
    async def scenario() -> int:
        engines: list[Engine] = []

        def kept(
            assignment: Assignment, loop: asyncio.AbstractEventLoop, ended: Callable[[Segment, str], None]
        ) -> Engine:
            engines.append(engine(assignment, loop, ended))
            return engines[0]

        async with ScriptedServer(scripted.good) as server:
            await play(kept, make_tape([Op()], 1), [server.port])
        return len(engines[0].take_canary())

    assert uvloop.run(scenario()) == 0
