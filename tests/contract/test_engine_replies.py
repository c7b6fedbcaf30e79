"""The contract of every engine for replies that are written unusually or wrongly: connections, outcomes, evidence."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from loadgen.engine.api import Arrivals
from loadgen.measure.codes import codes_of
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_S
from tests.contract.test_engine_contract import run
from tests.support.calm import in_a_calm_moment
from tests.support.engines import ENGINES, MakeEngine, Played, play
from tests.support.scripted import Behaviour, ScriptedServer, Writer, truncates
from tests.support.tapes import Op, content, make_tape


@pytest.fixture(params=sorted(ENGINES))
def engine(request: pytest.FixtureRequest) -> MakeEngine:
    return ENGINES[request.param]


def saying(head: bytes, size: int = -1) -> Behaviour:
    """Sends this head, with the length in place of SIZE, and the right body, all at once."""

    async def answer(path: str, asked: int, writer: Writer) -> bool:
        length = asked if size < 0 else size
        writer.write(head.replace(b"SIZE", b"%d" % length) + content(path, length) * (length > 0))
        return True

    return answer


def played_by(engine: MakeEngine, behaviour: Behaviour, **options: Any) -> tuple[Played, ScriptedServer]:
    tape = make_tape([Op(size=900)], 2)

    async def scenario() -> tuple[Played, ScriptedServer]:
        async with ScriptedServer(behaviour) as server:
            return await play(engine, tape, [server.port], **{"length_ns": NS_PER_S, **options}), server

    return run(scenario)


@pytest.mark.parametrize(
    "fields",
    [
        b"Connection: keep-alive, X-Close-Hint\r\nContent-Length: SIZE\r\n",
        b"Content-Length : SIZE\r\n",
        b"Content-Length: SIZE, SIZE\r\nTransfer-Encoding: identity\r\n",
        b"Connection: keep-alive,\r\n upgrade\r\nContent-Length:\r\n\tSIZE\r\n",
    ],
)
@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_an_unusual_head_keeps_its_connection(engine: MakeEngine, fields: bytes, end: bytes) -> None:
    played, server = played_by(engine, saying((b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n").replace(b"\r\n", end)))
    assert played.outcomes()[Outcome.OK] > 2
    assert set(played.outcomes()) <= {Outcome.OK, Outcome.CUT}
    assert server.connections == 2


def test_a_second_connection_line_is_heeded(engine: MakeEngine) -> None:
    head = b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection: close\r\nContent-Length: SIZE\r\n\r\n"
    played, server = played_by(engine, saying(head))
    assert played.outcomes()[Outcome.OK] > 2
    assert played.cell().retries == 0
    assert server.connections == pytest.approx(played.outcomes()[Outcome.OK], abs=3)


@pytest.mark.parametrize(
    "head",
    [b"HTTP/1.1 200 OK\r\nno colon\r\n", b"HTTP/1.1 2xx OK\r\n\r\n", b"HTTP/1.1 200 OK\rServer: x\r\r"],
)
def test_a_head_that_is_not_understood_fails_at_once(engine: MakeEngine, head: bytes) -> None:
    played, _ = played_by(engine, saying(head))
    assert set(played.outcomes()) <= {Outcome.MALFORMED, Outcome.CUT}
    assert played.outcomes()[Outcome.MALFORMED] >= 2


WRONG: dict[bytes, tuple[Outcome, str]] = {
    b"HTTP/1.1 200 OK\r\nno colon \xff\r\n\r\n": (Outcome.MALFORMED, r"no colon \xff"),
    b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n": (Outcome.MALFORMED, "Content-Length: 1, 2"),
    b"\x15\x03\x01\0\x02\x02\x46": (Outcome.MALFORMED, r"\x15\x03\x01\x00\x02\x02F"),
    b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5000: (Outcome.HEAD_TOO_LARGE, "X"),
    b"HTTP/1.1 400 No\r\nContent-Length: 48\r\n\r\n<p>\nThis plain HTTP request was sent to HTTPS\n</p>": (
        Outcome.BAD_STATUS,
        "This plain HTTP request was sent to HTTPS",
    ),
}


@pytest.mark.parametrize("stream", WRONG)
def test_the_line_that_is_not_understood_is_shown_once_for_each_target(engine: MakeEngine, stream: bytes) -> None:
    outcome, text = WRONG[stream]

    async def answer(path: str, size: int, writer: Writer) -> bool:
        writer.write(stream)
        return True

    async def scenario() -> Played:
        async with ScriptedServer(answer) as one, ScriptedServer(answer) as other:
            return await play(engine, make_tape([Op(size=900)], 4), [one.port, other.port])

    played = run(scenario)
    assert played.outcomes()[outcome] >= 2
    assert sorted((one.target, one.outcome) for one in played.shown) == [(0, outcome), (1, outcome)]
    assert all(one.text.startswith(text) for one in played.shown)
    assert not played.snapshots[-1].shown  # what an earlier interval showed


def test_whole_replies_are_counted_by_status(engine: MakeEngine) -> None:
    asked: list[int] = []

    async def answer(path: str, size: int, writer: Writer) -> bool:
        asked.append((200, 302, 404, 503)[len(asked) % 4])
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (asked[-1], size) + content(path, size))
        return True

    async def scenario() -> Played:
        async with ScriptedServer(answer) as server:
            return await play(engine, make_tape([Op(size=900)], 1), [server.port], requests=42, length_ns=30 * NS_PER_S)

    played = run(scenario)
    found = codes_of(played.cell().statuses)
    sent = {code: asked.count(code) for code in set(asked)}
    assert set(found) == {200, 302, 404, 503}
    assert found == sent
    assert sum(found.values()) == sum(played.outcomes().values()) == 42


def test_a_reply_that_repeats_is_counted_by_its_status_too(engine: MakeEngine) -> None:
    """The Python engine compares unchecked replies with the one before, without reading them."""
    tape = make_tape([Op(size=-1, status=0)], 1)

    async def scenario() -> Played:
        async with ScriptedServer(saying(b"HTTP/1.1 204 No Content\r\n\r\n", size=0)) as server:
            return await play(engine, tape, [server.port], requests=9, length_ns=30 * NS_PER_S)

    played = run(scenario)
    assert played.outcomes() == {Outcome.OK: 9}
    assert codes_of(played.cell().statuses) == {204: 9}


def test_an_incomplete_reply_has_no_status(engine: MakeEngine) -> None:
    played, _ = played_by(engine, truncates)
    assert played.outcomes()[Outcome.CLOSED_EARLY] >= 2
    assert codes_of(played.cell().statuses) == {}


@pytest.mark.parametrize("later_s", [0.0, 0.02])
@in_a_calm_moment
def test_bytes_after_a_reply_are_counted_and_close_the_connection(engine: MakeEngine, later_s: float) -> None:
    async def answer(path: str, size: int, writer: Writer) -> bool:
        reply = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + content(path, size)
        writer.write(reply if later_s else reply + b"XX")
        if later_s:
            await asyncio.sleep(later_s)
            writer.write(b"XX")
        return True

    arrivals = Arrivals(rate_per_s=10, poisson=False, seed=1, part=0, parts=1, max_backlog=9) if later_s else None
    played, server = played_by(engine, answer, arrivals=arrivals, length_ns=NS_PER_S)
    cell = played.cell()
    assert cell.ok >= 4
    assert set(played.outcomes()) <= {Outcome.OK, Outcome.CUT}
    # With late bytes, it is the next operation of the connection that counts them.
    assert cell.surplus == pytest.approx(cell.ok, abs=2)
    assert server.connections == pytest.approx(cell.ok, abs=2)
    assert cell.retries == 0
