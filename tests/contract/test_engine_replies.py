"""The contract of every engine for replies that are written unusually or wrongly: connections, outcomes, evidence."""

from __future__ import annotations

from typing import Any

import pytest

from loadgen.model.outcome import Outcome
from tests.contract.test_engine_contract import run
from tests.support.engines import ENGINES, MakeEngine, Played, play
from tests.support.scripted import Behaviour, ScriptedServer, Writer
from tests.support.tapes import Op, content, make_tape


@pytest.fixture(params=sorted(ENGINES))
def engine(request: pytest.FixtureRequest) -> MakeEngine:
    return ENGINES[request.param]


def saying(head: bytes, after: bytes = b"") -> Behaviour:
    """Sends this head, which may name the `size`, then the right body, then `after`, all at once; then waits."""

    async def answer(path: str, size: int, writer: Writer) -> bool:
        writer.write(head.replace(b"SIZE", b"%d" % size) + content(path, size) + after)
        return True

    return answer


def played_by(engine: MakeEngine, behaviour: Behaviour, **options: Any) -> tuple[Played, ScriptedServer]:
    tape = make_tape([Op(size=900)], 2)

    async def scenario() -> tuple[Played, ScriptedServer]:
        async with ScriptedServer(behaviour) as server:
            return await play(engine, tape, [server.port], **options), server

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
    assert played.outcomes()[Outcome.OK] > 20
    assert set(played.outcomes()) <= {Outcome.OK, Outcome.CUT}
    assert server.connections == 2


def test_a_second_connection_line_is_heeded(engine: MakeEngine) -> None:
    head = b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection: close\r\nContent-Length: SIZE\r\n\r\n"
    played, server = played_by(engine, saying(head))
    assert played.outcomes()[Outcome.OK] > 20
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
