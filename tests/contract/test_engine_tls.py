"""The Python engine over TLS: the same outcomes as without TLS, and BAD_TLS."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
import uvloop

from loadgen.engine.api import Arrivals
from loadgen.model.outcome import Outcome
from loadgen.model.target import Target
from loadgen.model.units import NS_PER_S
from tests.support import scripted
from tests.support.engines import Played, play, python_engine
from tests.support.scripted import Behaviour, ScriptedServer
from tests.support.tapes import Op, make_tape
from tests.support.tls_files import TlsFiles, make_tls_files

T = TypeVar("T")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return make_tls_files(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def trusted(files: TlsFiles, monkeypatch: pytest.MonkeyPatch) -> TlsFiles:
    monkeypatch.setenv("SSL_CERT_FILE", str(files.authority))
    return files


def run(scenario: Callable[[], Awaitable[T]]) -> T:
    async def bounded() -> T:
        return await asyncio.wait_for(scenario(), 60)

    return uvloop.run(bounded())


def by_tls(files: TlsFiles, behaviour: Behaviour, op: Op, **options: Any) -> tuple[Played, ScriptedServer]:
    async def scenario() -> tuple[Played, ScriptedServer]:
        async with ScriptedServer(behaviour, files.server_context()) as server:
            targets = [Target(name="t", host="127.0.0.1", port=server.port, tls=True)]
            played = await play(
                python_engine,
                make_tape([op], 2),
                [server.port],
                targets=targets,
                **{"length_ns": NS_PER_S // 8, **options},
            )
            return played, server

    return run(scenario)


@pytest.mark.parametrize("name", ["good", "chunked", "until_close", "interim", "byte_by_byte"])
def test_correct_replies_are_ok_in_every_framing(trusted: TlsFiles, name: str) -> None:
    played, server = by_tls(trusted, getattr(scripted, name), Op(size=100))
    outcomes = played.outcomes()
    assert outcomes[Outcome.OK] >= 2
    assert set(outcomes) <= {Outcome.OK, Outcome.CUT}
    assert outcomes[Outcome.OK] <= len(server.requests) <= outcomes[Outcome.OK] + 2


def test_a_request_that_meets_a_close_is_sent_once_more(trusted: TlsFiles) -> None:
    played, server = by_tls(trusted, scripted.closes_after(3), Op(size=900), length_ns=NS_PER_S)
    assert set(played.outcomes()) <= {Outcome.OK, Outcome.CUT}
    assert played.outcomes()[Outcome.OK] > 10
    assert played.cell().retries >= 3
    assert played.cell().connects == pytest.approx(server.connections, abs=2)  # a handshake may be under way
    assert played.cell().rest_ns == 0


def test_a_body_of_many_tls_records_is_complete(trusted: TlsFiles) -> None:
    played, _ = by_tls(trusted, scripted.good, Op(size=700_000), requests=2, length_ns=30 * NS_PER_S)
    assert played.outcomes() == {Outcome.OK: 2}
    assert played.cell().bytes >= 2 * 700_000


def test_connections_are_kept(trusted: TlsFiles) -> None:
    played, server = by_tls(trusted, scripted.good, Op(size=900))
    assert played.outcomes()[Outcome.OK] > 2
    assert server.connections == 2
    assert server.hosts


def test_session_tickets_do_not_close_idle_connections(trusted: TlsFiles) -> None:
    slow = Arrivals(rate_per_s=40, poisson=False, seed=1, part=0, parts=1, max_backlog=10)
    played, server = by_tls(trusted, scripted.good, Op(size=900), arrivals=slow, length_ns=NS_PER_S // 5)
    assert sum(played.outcomes().values()) == 8
    assert server.connections == 2


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("error_500", Outcome.BAD_STATUS),
        ("wrong_bytes", Outcome.BAD_CONTENT),
        ("truncates", Outcome.CLOSED_EARLY),
        ("hangs_up", Outcome.NO_REPLY),
        ("garbage", Outcome.MALFORMED),
    ],
)
def test_each_wrong_answer_has_the_same_outcome_as_without_tls(trusted: TlsFiles, name: str, expected: Outcome) -> None:
    for length_ns in (NS_PER_S // 8, NS_PER_S, 8 * NS_PER_S):  # a busy machine needs longer
        played, _ = by_tls(trusted, getattr(scripted, name), Op(size=900), length_ns=length_ns)
        if played.outcomes().get(expected, 0) >= 2:
            break
    assert played.outcomes()[expected] >= 2
    assert set(played.outcomes()) <= {expected, Outcome.CUT}


def test_an_untrusted_certificate_is_refused(files: TlsFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    played, server = by_tls(files, scripted.good, Op(), requests=4, length_ns=30 * NS_PER_S)
    assert played.outcomes() == {Outcome.BAD_TLS: 4}
    assert server.requests == []


def test_without_verification_any_certificate_is_accepted(files: TlsFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    played, _ = by_tls(files, scripted.good, Op(), tls_verify=False)
    assert set(played.outcomes()) <= {Outcome.OK, Outcome.CUT}
    assert played.outcomes()[Outcome.OK] >= 2


def test_the_name_in_the_certificate_must_be_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    others = make_tls_files(tmp_path, name="example.org")
    monkeypatch.setenv("SSL_CERT_FILE", str(others.authority))
    played, _ = by_tls(others, scripted.good, Op())
    assert set(played.outcomes()) <= {Outcome.BAD_TLS, Outcome.CUT}
    assert played.outcomes()[Outcome.BAD_TLS] >= 2


def test_a_server_without_tls_is_recorded_as_bad_tls(trusted: TlsFiles) -> None:
    async def scenario() -> Played:
        async with ScriptedServer(scripted.good) as server:
            targets = [Target(name="t", host="127.0.0.1", port=server.port, tls=True)]
            return await play(
                python_engine, make_tape([Op()], 1), [server.port], targets=targets, timeout_ns=NS_PER_S // 10
            )

    assert set(run(scenario).outcomes()) <= {Outcome.BAD_TLS, Outcome.TIMED_OUT, Outcome.CUT}


def test_a_refused_connect_is_recorded_as_refused(trusted: TlsFiles) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]

        async def scenario() -> Played:
            targets = [Target(name="t", host="127.0.0.1", port=port, tls=True)]
            return await play(python_engine, make_tape([Op()], 1), [port], targets=targets, length_ns=NS_PER_S // 10)

        assert set(run(scenario).outcomes()) == {Outcome.REFUSED}
