"""The contract of every engine for the longest time of a whole request."""

from __future__ import annotations

import asyncio

import pytest

from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_MS, NS_PER_S
from tests.contract.test_engine_contract import run
from tests.support import scripted
from tests.support.engines import ENGINES, MakeEngine, Played, play
from tests.support.scripted import Behaviour, ScriptedServer, Writer
from tests.support.tapes import Op, content, make_tape


@pytest.fixture(params=sorted(ENGINES))
def engine(request: pytest.FixtureRequest) -> MakeEngine:
    return ENGINES[request.param]


async def trickles(path: str, size: int, writer: Writer) -> bool:
    """A reply that is never silent for long, and takes a second as a whole."""
    writer.write(scripted.head(size))
    for at in range(0, size, size // 20):
        writer.write(content(path, size)[at : at + size // 20])
        await writer.drain()
        await asyncio.sleep(0.05)
    return True


def played(make: MakeEngine, behaviour: Behaviour, request_ns: int, requests: int = 2) -> Played:
    async def scenario() -> Played:
        async with ScriptedServer(behaviour) as server:
            return await play(
                make,
                make_tape([Op(size=1000)], 2),
                [server.port],
                requests=requests,
                request_ns=request_ns,
                length_ns=30 * NS_PER_S,
            )

    return run(scenario)


def test_a_reply_that_takes_too_long_as_a_whole_times_out(engine: MakeEngine) -> None:
    result = played(engine, trickles, 200 * NS_PER_MS)
    assert result.outcomes() == {Outcome.TIMED_OUT: 2}
    assert result.done_s < 1


def test_without_a_limit_only_silence_counts(engine: MakeEngine) -> None:
    assert played(engine, trickles, 0).outcomes() == {Outcome.OK: 2}


def test_a_reply_that_comes_after_its_time_is_no_success(engine: MakeEngine) -> None:
    """Between two looks at the clock, replies may come late."""

    async def late(path: str, size: int, writer: Writer) -> bool:
        await asyncio.sleep(0.013)
        return await scripted.good(path, size, writer)

    assert played(engine, late, 10 * NS_PER_MS, requests=20).outcomes() == {Outcome.TIMED_OUT: 20}


def test_a_silent_server_times_out_at_the_shorter_limit(engine: MakeEngine) -> None:
    async def mute(path: str, size: int, writer: Writer) -> bool:
        await asyncio.sleep(30)
        return True

    result = played(engine, mute, 100 * NS_PER_MS)
    assert result.outcomes() == {Outcome.TIMED_OUT: 2}
    assert result.done_s < 1.5  # the time-out for silence is 2 s
