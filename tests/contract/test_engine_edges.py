"""The contract of every engine for large requests, large bodies, many records, and IPv6."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
from collections.abc import Awaitable, Callable
from typing import TypeVar

import numpy as np
import pytest
import uvloop

from loadgen.engine.api import Arrivals
from loadgen.model.outcome import Outcome
from loadgen.model.target import Target
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.schedule.optape import OpTape
from loadgen.schedule.strings import Strings
from tests.support import scripted
from tests.support.calm import in_a_calm_moment
from tests.support.engines import ENGINES, MakeEngine, Played, play, records_kept
from tests.support.scripted import ScriptedServer
from tests.support.tapes import Op, content, make_tape

T = TypeVar("T")


@pytest.fixture(params=sorted(ENGINES))
def engine(request: pytest.FixtureRequest) -> MakeEngine:
    return ENGINES[request.param]


def run(scenario: Callable[[], Awaitable[T]]) -> T:
    async def bounded() -> T:
        return await asyncio.wait_for(scenario(), 60)

    return uvloop.run(bounded())


def with_rest(tape: OpTape, rest: bytes) -> OpTape:
    """`tape` with `rest` after the Host line of each request."""
    (index,) = set(tape.ops["rest"].tolist())
    strings = [tape.strings[i] for i in range(len(tape.strings))]
    strings[index] = rest
    return dataclasses.replace(tape, strings=Strings.of(strings))


class RawServer:
    """Sends `reply` for every `request_bytes` received, of any content; `hasty`: also before the first request."""

    def __init__(self, reply: bytes, *, request_bytes: int, hasty: bool = False) -> None:
        self._reply = reply
        self._request_bytes = request_bytes
        self._hasty = hasty
        self._tasks: set[asyncio.Task[None]] = set()
        self.received: list[bytes] = []
        self.connections = 0

    async def __aenter__(self) -> RawServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            if self._hasty:
                writer.write(self._reply)
            while True:
                request = bytearray()
                while len(request) < self._request_bytes:
                    piece = await reader.read(self._request_bytes - len(request))
                    if not piece:
                        return
                    request += piece
                self.received.append(bytes(request))
                writer.write(self._reply)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()


@pytest.mark.parametrize("size", [17_000, 16_000_000])
def test_a_long_request_arrives_whole(engine: MakeEngine, size: int) -> None:
    """One request is assembled in a buffer before it is sent; the other is accepted by the kernel in parts."""
    line = b"GET /x?size=100 HTTP/1.1\r\n"
    rest = b"\r\n" + bytes(range(256)) * (size // 256)
    tape = with_rest(make_tape([Op(size=100)], 1), rest)

    async def scenario() -> tuple[Played, list[bytes], bytes]:
        host = b"Host: 127.0.0.1:"
        wanted = len(line) + len(host) + 5 + 2 + len(rest)  # ephemeral ports have five digits
        async with RawServer(scripted.head(100) + content("/x", 100), request_bytes=wanted) as server:
            for length_ns in (300 * NS_PER_MS, 3 * NS_PER_S, 9 * NS_PER_S):
                played = await play(engine, tape, [server.port], length_ns=length_ns, timeout_ns=length_ns)
                if Outcome.OK in played.outcomes():
                    break
                server.received.clear()  # a busy machine needs longer for one request
            return played, server.received, line + host + b"%d\r\n" % server.port + rest

    played, received, expected = run(scenario)
    assert received[0] == expected
    assert set(received) == {expected}
    outcomes = played.outcomes()
    assert outcomes[Outcome.OK] >= 1
    assert set(outcomes) <= {Outcome.OK, Outcome.CUT}


def test_a_reply_that_comes_before_its_request_is_sent_ends_the_tcp_connection(engine: MakeEngine) -> None:
    """The rest of the request must not be sent later, where it would be taken for the next request."""
    tape = with_rest(make_tape([Op(size=100)], 1), b"X-Long: " + b"a" * 8_000_000 + b"\r\n\r\n")
    reply = scripted.head(100) + content("/x", 100)

    async def scenario() -> tuple[Played, int]:
        for length_ns in (200 * NS_PER_MS, 2 * NS_PER_S, 8 * NS_PER_S):  # a busy machine needs longer
            async with RawServer(reply, request_bytes=1 << 30, hasty=True) as server:
                played = await play(engine, tape, [server.port], length_ns=length_ns)
                if played.outcomes().get(Outcome.OK, 0) >= 2:
                    break
        return played, server.connections

    played, connections = run(scenario)
    outcomes = played.outcomes()
    assert set(outcomes) <= {Outcome.OK, Outcome.CUT}
    assert 2 <= outcomes[Outcome.OK] <= connections


@pytest.mark.parametrize("checked", [False, True])
@pytest.mark.parametrize("surplus", [b"", b"!"])
def test_every_byte_of_a_large_body_is_counted(engine: MakeEngine, checked: bool, surplus: bytes) -> None:
    """This includes unchecked bytes, which the kernel may drop; and a byte after the body is noticed."""
    size = 700_000
    tape = make_tape([Op(size=size)], 1)
    checks = tape.checks.copy()
    if checked:
        checks["period"] = checks["prefix"] = 0  # check only the length
    else:
        checks["content_bytes"] = -1
    tape = dataclasses.replace(tape, checks=checks)
    reply = scripted.head(size) + content("/x", size) + surplus

    async def large(path: str, size: int, writer: asyncio.StreamWriter) -> bool:
        writer.write(reply)
        return True

    async def scenario() -> tuple[Played, int]:
        async with ScriptedServer(large) as server:
            return await play(engine, tape, [server.port], length_ns=500 * NS_PER_MS), server.connections

    played, connections = run(scenario)
    outcomes = played.outcomes()
    ok = outcomes[Outcome.OK]
    assert ok >= 1
    assert set(outcomes) <= {Outcome.OK, Outcome.CUT}
    least = ok * (len(reply) - len(surplus))
    assert least <= played.cell().bytes <= least + ok * len(surplus) + outcomes.get(Outcome.CUT, 0) * len(reply)
    assert connections >= ok if surplus else connections == 1


def test_a_reply_as_long_as_the_last_one_is_still_read(engine: MakeEngine) -> None:
    """A reply with the same head as before may be recognised without parsing; any other must be parsed."""
    tape = make_tape([Op(size=100)], 1)
    checks = tape.checks.copy()
    checks["content_bytes"] = -1  # bodies are not checked
    tape = dataclasses.replace(tape, checks=checks)
    same = scripted.head(100) + b"." * 100
    failed = scripted.head(100, status="500 OK") + b"." * 100
    surplus = scripted.head(99) + b"." * 101
    assert len(same) == len(failed) == len(surplus)
    longer = scripted.head(100, extra="X-Longer: yes\r\n") + b"." * 100
    overlong = same + b"." * (len(longer) - len(same))
    nested = [scripted.head(len(same)), same]
    pieces = [[same], [same], [same], [failed], [same], [same[:60], same[60:]], [same], [surplus], [same], [same]]
    pieces += [[longer], [overlong], [same], nested, [same]]
    left = iter(pieces)

    async def in_turn(path: str, size: int, writer: asyncio.StreamWriter) -> bool:
        for number, piece in enumerate(next(left, [])):
            if number:
                await asyncio.sleep(0.05)
            writer.write(piece)
        return True

    async def scenario() -> tuple[Played, int]:
        async with ScriptedServer(in_turn) as server:
            played = await play(engine, tape, [server.port], length_ns=NS_PER_S, error_rest_ns=NS_PER_MS)
            return played, server.connections

    played, connections = run(scenario)
    assert played.outcomes() == {Outcome.OK: len(pieces) - 1, Outcome.BAD_STATUS: 1, Outcome.CUT: 1}
    assert played.cell().bytes == sum(len(b"".join(reply)) for reply in pieces)
    assert connections == 3  # a connection with surplus bytes is not reused


@in_a_calm_moment
def test_more_operations_than_any_buffer_holds_are_all_recorded(
    engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    rate, length_ns = 1_000_000, 150 * NS_PER_MS
    flood = Arrivals(rate_per_s=rate, poisson=False, seed=1, part=0, parts=1, max_backlog=10_000)

    async def scenario() -> Played:
        async with ScriptedServer(scripted.silent) as server:
            return await play(engine, make_tape([Op()], 2), [server.port], arrivals=flood, length_ns=length_ns)

    with records_kept(monkeypatch) as kept:
        outcomes = run(scenario).outcomes()
    due = np.unique(np.concatenate(kept)["due_ns"])
    assert len(due) == sum(outcomes.values()) == 150_000
    assert due[-1] - due[0] == 149_999_000
    assert outcomes[Outcome.CUT] >= 10_002  # two are in progress; more if the engine was late at the end
    assert outcomes.get(Outcome.SHED, 0) > 0


def ipv6_works() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not ipv6_works(), reason="this machine has no IPv6 on loopback")
@pytest.mark.parametrize("sources", [(), ("127.0.0.1", "::1")])
def test_ipv6_works(engine: MakeEngine, sources: tuple[str, ...]) -> None:
    async def scenario() -> tuple[Played, list[str]]:
        asked: list[str] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while True:
                    asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
                    writer.write(scripted.head(100) + content("/x", 100))
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()

        async with await asyncio.start_server(serve, "::1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            targets = [Target(name="six", host="::1", port=port)]
            played = await play(
                engine,
                make_tape([Op(size=100)], 2),
                [port],
                targets=targets,
                sources=sources,
                length_ns=100 * NS_PER_MS,
            )
            assert f"\r\nHost: [::1]:{port}\r\n" in asked[0]
            return played, asked

    played, asked = run(scenario)
    outcomes = played.outcomes()
    assert set(outcomes) <= {Outcome.OK, Outcome.CUT}
    assert 2 <= outcomes[Outcome.OK] <= len(asked)
    assert np.all(played.tallies()["ok"] > 0)
