"""The contract of every engine for errors: when a connection rests, and when a request is sent once more."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from loadgen.engine.api import Arrivals
from loadgen.measure.record import CONNECTED, RESTED, RETRIED, STATUS_SHIFT
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_MS, NS_PER_S
from tests.contract.test_engine_contract import run
from tests.support import scripted
from tests.support.engines import (
    ENGINES,
    MakeEngine,
    Played,
    compiled_engine,
    needs_compiled,
    play,
    python_engine,
    records_kept,
)
from tests.support.scripted import Behaviour, ScriptedServer, Writer, closes_after
from tests.support.tapes import Op, make_tape

LONG_NS = 10 * NS_PER_S  # a rest that no test waits for
OPEN = Arrivals(rate_per_s=500, poisson=False, seed=1, part=0, parts=1, max_backlog=1000)


@pytest.fixture(params=sorted(ENGINES))
def engine(request: pytest.FixtureRequest) -> MakeEngine:
    return ENGINES[request.param]


def played_by(engine: MakeEngine, behaviour: Behaviour, *ops: Op, **options: Any) -> tuple[Played, ScriptedServer]:
    tape = make_tape(ops or [Op(size=900)], options.pop("connections", 2))

    async def scenario() -> tuple[Played, ScriptedServer]:
        async with ScriptedServer(behaviour) as server:
            return await play(engine, tape, [server.port], **{"error_rest_ns": LONG_NS, **options}), server

    return run(scenario)


WHOLE: dict[str, tuple[Behaviour, Outcome]] = {
    "500": (scripted.error_500, Outcome.BAD_STATUS),
    "wrong validation byte": (scripted.wrong_bytes, Outcome.BAD_CONTENT),
    "a byte short": (scripted.too_short, Outcome.BAD_LENGTH),
    "no cookie": (scripted.good, Outcome.BAD_COOKIE),
}


@pytest.mark.parametrize("arrivals", [None, OPEN], ids=["closed", "open"])
@pytest.mark.parametrize("name", WHOLE)
def test_no_rest_follows_a_whole_reply(engine: MakeEngine, name: str, arrivals: Arrivals | None) -> None:
    behaviour, expected = WHOLE[name]
    op = Op(size=900, cookie=b"found=1" if expected is Outcome.BAD_COOKIE else b"")
    played, server = played_by(engine, behaviour, op, arrivals=arrivals)
    assert played.outcomes()[expected] > 5
    assert set(played.outcomes()) <= {expected, Outcome.CUT}
    assert server.connections == 2
    assert played.cell().rest_ns == played.cell().retries == 0


@pytest.mark.parametrize("behaviour", [scripted.truncates, scripted.resets, scripted.hangs_up, scripted.garbage])
def test_a_rest_follows_a_broken_reply(engine: MakeEngine, behaviour: Behaviour) -> None:
    played, _ = played_by(engine, behaviour)
    assert sum(played.outcomes().values()) == 2
    assert played.cell().rest_ns == 2 * LONG_NS
    assert played.cell().retries == 0


def test_a_paced_connection_keeps_its_pace_when_replies_are_short_error_pages(engine: MakeEngine) -> None:
    played, _ = played_by(engine, scripted.error_500, line_bps=400_000, error_rest_ns=100 * NS_PER_MS)
    assert 2 * 2 <= played.outcomes()[Outcome.BAD_STATUS] <= 2 * 6  # about 2 * 4 in 400 ms
    assert played.cell().rest_ns == played.outcomes()[Outcome.BAD_STATUS] * 100 * NS_PER_MS


@pytest.mark.parametrize("resets", [False, True])
@pytest.mark.parametrize("options", [{}, {"arrivals": OPEN}, {"line_bps": 40_000_000}], ids=["closed", "open", "paced"])
def test_a_request_that_meets_a_close_is_sent_once_more(
    engine: MakeEngine, options: dict[str, Any], resets: bool
) -> None:
    played, server = played_by(engine, closes_after(3, resets=resets), **options)
    cell, outcomes = played.cell(), played.outcomes()
    assert set(outcomes) <= {Outcome.OK, Outcome.CUT}
    assert outcomes[Outcome.OK] > 5
    assert outcomes[Outcome.OK] // 3 - 2 <= cell.retries <= outcomes[Outcome.OK] // 3 + 2
    assert cell.connects == pytest.approx(server.connections, abs=2)  # a connect may be under way
    assert cell.connects == pytest.approx(cell.retries + 2, abs=2)
    assert cell.rest_ns == 0


def test_a_retried_operation_keeps_the_times_when_it_was_due_and_sent(
    engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first reply takes 50 ms not to come, and that is the server's time."""
    slow = closes_after(1, scripted.good)

    async def late(path: str, size: int, writer: Writer) -> bool:
        stays = await slow(path, size, writer)
        if not stays:
            await asyncio.sleep(0.05)
        return stays

    with records_kept(monkeypatch) as kept:
        played_by(engine, late, connections=1, requests=9, length_ns=30 * NS_PER_S)
    records = np.concatenate(kept)
    retried = records[(records["flags"] & RETRIED > 0) & (records["outcome"] == Outcome.OK)]
    assert len(retried) == 8
    assert (retried["flags"] == CONNECTED | RETRIED | 200 << STATUS_SHIFT).all()
    assert (retried["done_ns"] - retried["sent_ns"] > 45 * NS_PER_MS).all()
    assert np.median(retried["sent_ns"] - retried["due_ns"]) < 40 * NS_PER_MS


def test_a_request_with_effects_is_not_repeated_and_no_rest_follows(engine: MakeEngine) -> None:
    ops = [Op(method="POST", path=f"/{number}", size=900) for number in range(100)]
    played, server = played_by(engine, closes_after(3), *ops, connections=1, requests=40, length_ns=30 * NS_PER_S)
    outcomes = played.outcomes()
    assert set(outcomes) <= {Outcome.OK, Outcome.NO_REPLY, Outcome.CUT}
    assert sum(outcomes.values()) == 40
    assert outcomes[Outcome.NO_REPLY] == pytest.approx(outcomes[Outcome.OK] / 3, abs=1)
    assert server.requests == [f"/{number % 100}" for number in range(len(server.requests))]
    assert played.cell().rest_ns == played.cell().retries == 0


@pytest.mark.parametrize("half", [False, True], ids=["closes", "shuts down"])
@pytest.mark.parametrize("delay_s", [0.0, 0.04])
def test_a_close_is_noticed_that_comes_while_reading_is_paused(engine: MakeEngine, delay_s: float, half: bool) -> None:
    """At 400 kbit/s, the first 4 KB of a reply take 82 ms.  The rest is read then, and no request is sent after it."""

    async def whole_then_closes(path: str, size: int, writer: Writer) -> bool:
        await scripted.good(path, size, writer)
        await asyncio.sleep(delay_s)
        if half:
            writer.write_eof()
            await asyncio.sleep(60)
        return False

    op = Op(method="POST", size=4_500, think_ms=100)  # time in which a close is noticed that comes with the last bytes
    options = {"requests": 5, "line_bps": 400_000, "paced_reads": True, "length_ns": 30 * NS_PER_S}
    played, server = played_by(engine, whole_then_closes, op, connections=1, **options)
    assert played.outcomes() == {Outcome.OK: 5}
    assert server.connections == 5
    assert played.cell().connects == 5


def test_a_request_is_repeated_only_once(engine: MakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    with records_kept(monkeypatch) as kept:
        _, server = played_by(engine, closes_after(1, only_first()), Op(path="/a"), Op(path="/b"), connections=1)
    records = np.concatenate(kept)
    assert records["outcome"].tolist() == [Outcome.OK, Outcome.NO_REPLY]
    assert records["flags"].tolist() == [CONNECTED | 200 << STATUS_SHIFT, CONNECTED | RETRIED | RESTED]
    assert server.requests == ["/a", "/b", "/b"]


def only_first() -> Behaviour:
    """Answers the very first request, and closes the TCP connection at every other."""
    asked: list[str] = []

    async def answer(path: str, size: int, writer: Writer) -> bool:
        asked.append(path)
        return await scripted.good(path, size, writer) if len(asked) == 1 else False

    return answer


def test_a_close_after_an_interim_reply_is_no_reason_to_send_again(engine: MakeEngine) -> None:
    async def interim_only(path: str, size: int, writer: Writer) -> bool:
        if path == "/a":
            return await scripted.good(path, size, writer)
        writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        return False

    played, server = played_by(engine, interim_only, Op(path="/a"), Op(path="/b"), connections=1)
    assert server.requests == ["/a", "/b"]
    assert played.cell().retries == 0


@needs_compiled
def test_both_engines_write_equal_records_of_closes_and_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = (records_of(make, monkeypatch) for make in (python_engine, compiled_engine))
    names = ["row", "outcome", "bytes", "flags"]
    assert len(ours) == len(theirs) == 120
    assert theirs[names].tolist() == ours[names].tolist()
    assert len(set(ours["flags"].tolist())) >= 4


def records_of(make: MakeEngine, monkeypatch: pytest.MonkeyPatch) -> NDArray[np.void]:
    """The records of one connection whose requests and replies are of every kind, in order."""
    methods = ("GET", "POST", "HEAD2", "PUT", "GET", "DELETE", "GETS")
    ops = [Op(method=methods[n % 7], path=f"/{n % 5}", size=900, close=n % 11 == 10) for n in range(77)]
    kinds = (scripted.good, scripted.error_500, scripted.truncates, scripted.good, scripted.wrong_bytes)

    async def mixed(path: str, size: int, writer: Writer) -> bool:
        return await kinds[int(path[1:])](path, size, writer)

    with records_kept(monkeypatch) as kept:
        played_by(
            make,
            closes_after(2, mixed),
            *ops,
            connections=1,
            error_rest_ns=NS_PER_MS,
            requests=120,
            length_ns=30 * NS_PER_S,
        )
    return np.concatenate(kept)
