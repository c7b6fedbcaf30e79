"""An operation counts as sent only if its request was sent, so that a server can count the same."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import numpy as np
import pytest
import uvloop
from numpy.typing import NDArray

from loadgen.model.outcome import Outcome
from loadgen.model.target import Target
from loadgen.model.units import NS_PER_MS, NS_PER_S
from tests.support.engines import ENGINES, MakeEngine, Played, play, python_engine, records_kept
from tests.support.scripted import ScriptedServer, silent
from tests.support.tapes import Op, make_tape

T = TypeVar("T")
ONE = make_tape([Op()], 1)


@pytest.fixture(params=sorted(ENGINES))
def engine(request: pytest.FixtureRequest) -> MakeEngine:
    return ENGINES[request.param]


def run(scenario: Callable[[], Awaitable[T]]) -> T:
    async def bounded() -> T:
        return await asyncio.wait_for(scenario(), 30)

    return uvloop.run(bounded())


@contextlib.contextmanager
def deaf_port() -> Iterator[int]:
    """A port where connects are neither accepted nor refused, because the accept queue is full."""
    with contextlib.ExitStack() as held:
        server = held.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            one = held.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(server.getsockname())
        yield server.getsockname()[1]


def played(
    make: MakeEngine, port: int, monkeypatch: pytest.MonkeyPatch, *, timeout_ns: int = 20 * NS_PER_S, tls: bool = False
) -> tuple[Played, NDArray[np.void]]:
    target = Target(name="t", host="127.0.0.1", port=port, tls=tls)
    with records_kept(monkeypatch) as kept:
        found = run(lambda: play(make, ONE, [port], targets=[target], timeout_ns=timeout_ns, length_ns=300 * NS_PER_MS))
    return found, np.concatenate(kept)


def test_an_operation_cut_while_connecting_was_not_sent(engine: MakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    with deaf_port() as port:
        found, records = played(engine, port, monkeypatch)
    assert found.outcomes() == {Outcome.CUT: 1}
    assert (records["sent_ns"] < 0).tolist() == [True]
    assert found.cell().lateness.total == 0


def test_an_operation_that_never_connects_was_not_sent(engine: MakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    with deaf_port() as port:
        found, _ = played(engine, port, monkeypatch, timeout_ns=100 * NS_PER_MS)
    assert found.outcomes()[Outcome.UNREACHABLE] >= 1
    assert found.cell().lateness.total == 0
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    refused, records = played(engine, port, monkeypatch)
    assert refused.outcomes()[Outcome.REFUSED] == len(records) >= 2
    assert (records["sent_ns"] < 0).all()


def test_an_operation_cut_while_waiting_for_a_reply_was_sent(
    engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> tuple[Played, int]:
        async with ScriptedServer(silent) as server:
            return await play(engine, ONE, [server.port], length_ns=300 * NS_PER_MS), len(server.requests)

    with records_kept(monkeypatch) as kept:
        found, requests = run(scenario)
    assert found.outcomes() == {Outcome.CUT: 1}
    assert (np.concatenate(kept)["sent_ns"] > 0).all()
    assert found.cell().lateness.total == requests == 1


def test_an_operation_cut_in_a_tls_handshake_was_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:  # the kernel accepts the connection, and no one answers
        found, records = played(python_engine, server.getsockname()[1], monkeypatch, tls=True)
    assert found.outcomes() == {Outcome.CUT: 1}
    assert (records["sent_ns"] < 0).tolist() == [True]
