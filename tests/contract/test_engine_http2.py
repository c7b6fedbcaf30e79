"""The Python engine over HTTP/2: the same outcomes as over HTTP/1.1, and the faults that only HTTP/2 has."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from h2.settings import SettingCodes

from loadgen.model.outcome import Outcome
from loadgen.model.target import Target
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.schedule.optape import OpTape
from loadgen.schedule.strings import Strings
from tests.support import scripted
from tests.support.engines import Played, play, python_engine
from tests.support.http2_play import by_http2, only_good, run
from tests.support.http2_server import Client, Http2Server, Request, good
from tests.support.scripted import ScriptedServer
from tests.support.tapes import Op, content, make_tape
from tests.support.tls_files import TlsFiles, make_tls_files


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return make_tls_files(tmp_path_factory.mktemp("tls"))


def test_streams_share_connections() -> None:
    played, server = by_http2()
    ok = only_good(played)
    assert ok >= 6
    assert len(server.clients) == played.cell().connects == 2
    assert server.most_at_once <= 3
    assert ok <= len(server.requests) <= ok + 6
    assert server.refused == []
    assert len(played.tallies()) == 6  # each slot is counted as a connection


def test_the_request_of_the_tape_arrives_as_http2_wants_it() -> None:
    _, server = by_http2(op=Op(path="/a/b", close=True))
    headers = server.requests[0].headers
    assert headers == {
        ":method": "GET",
        ":scheme": "http",
        ":authority": f"127.0.0.1:{server.port}",
        ":path": "/a/b?size=1000",
    }  # no Connection header, which HTTP/2 forbids


def test_over_tls(files: TlsFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(files.authority))
    played, server = by_http2(server=Http2Server(good, files.server_context()), tls=True, op=Op(size=50_000))
    assert only_good(played) >= 6
    assert len(server.clients) == 2
    assert server.requests[0].headers[":scheme"] == "https"


def test_a_certificate_that_is_not_trusted(files: TlsFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(make_tls_files(tmp_path).authority))
    played, server = by_http2(server=Http2Server(good, files.server_context()), tls=True)
    assert set(played.outcomes()) <= {Outcome.BAD_TLS, Outcome.CUT}
    assert server.requests == []


def test_a_tls_server_without_http2(files: TlsFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(files.authority))

    async def scenario() -> Played:
        context = files.server_context()
        context.set_alpn_protocols(["http/1.1"])
        async with ScriptedServer(scripted.good, context) as server:
            targets = [Target(name="t", host="127.0.0.1", port=server.port, tls=True)]
            return await play(
                python_engine, make_tape([Op()], 2), [server.port], targets=targets, streams=2, length_ns=NS_PER_S // 8
            )

    played = run(scenario)
    assert set(played.outcomes()) <= {Outcome.BAD_TLS, Outcome.CUT}
    assert any("ALPN" in text for text in played.remarks)


def test_a_server_that_speaks_http1_only_is_malformed_at_once() -> None:
    async def scenario() -> Played:
        async def refuses(path: str, size: int, writer: asyncio.StreamWriter) -> bool:
            writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            return True

        async with ScriptedServer(refuses) as server:
            return await play(python_engine, make_tape([Op()], 2), [server.port], streams=2, length_ns=NS_PER_S // 4)

    played = run(scenario)
    assert set(played.outcomes()) <= {Outcome.MALFORMED, Outcome.CUT}
    assert played.outcomes()[Outcome.MALFORMED] >= 2
    assert played.remarks["the server answers with HTTP/1, not with HTTP/2"] >= 1


@pytest.mark.parametrize("name", ["error_500", "wrong_bytes", "too_short", "too_long", "cookie"])
def test_wrong_replies_have_the_outcomes_of_http1(name: str) -> None:
    async def wrong(client: Client, stream: int, request: Request) -> None:
        body, status, extra = content(request.path, request.size), "200", (("set-cookie", "b=2; Path=/"),)
        if name == "error_500":
            status = "500"
        elif name == "wrong_bytes":
            body = body[:30].replace(b"a", b"b") + body[30:]
        elif name == "too_short":
            body = body[:-1]
        elif name == "too_long":
            body += b"!"
        client.reply(stream, body, status=status, extra=extra)

    expected = {
        "error_500": Outcome.BAD_STATUS,
        "wrong_bytes": Outcome.BAD_CONTENT,
        "too_short": Outcome.BAD_LENGTH,
        "too_long": Outcome.BAD_LENGTH,
        "cookie": Outcome.BAD_COOKIE,
    }[name]
    played, _ = by_http2(wrong, Op(cookie=b"a=1" if name == "cookie" else b""))
    assert set(played.outcomes()) <= {expected, Outcome.CUT}
    assert played.outcomes()[expected] > 6
    assert played.cell().connects == 2  # the connection stays open


def test_a_body_far_too_long_is_given_up_and_other_streams_go_on() -> None:
    async def endless(client: Client, stream: int, request: Request) -> None:
        client.reply(stream, b"." * (3_000_000 if stream == 1 else 1000))

    played, server = by_http2(endless, Op(size=1000), slots=2, streams=2)
    outcomes = played.outcomes()
    assert outcomes[Outcome.BAD_LENGTH] == 1
    assert len(server.clients) == 1


def test_trailers_and_interim_replies_and_long_heads() -> None:
    async def rich(client: Client, stream: int, request: Request) -> None:
        client.h2.send_headers(stream, [(":status", "103"), ("link", "</a>")])
        long = [(f"x-{n}", "v" * 1000) for n in range(20)]  # needs CONTINUATION frames
        client.h2.send_headers(stream, [(":status", "200"), *long])
        client.h2.send_data(stream, content(request.path, request.size))
        client.h2.send_headers(stream, [("grpc-status", "0")], end_stream=True)
        client.flush()

    played, _ = by_http2(rich, slots=2, streams=2, length_ns=NS_PER_S)
    assert only_good(played) > 2


def test_a_head_beyond_the_limit() -> None:
    async def huge(client: Client, stream: int, request: Request) -> None:
        client.h2.send_headers(stream, [(":status", "200"), *((f"x-{n}", "v" * 1000) for n in range(70))])
        client.flush()

    played, _ = by_http2(huge, slots=1, streams=1, length_ns=NS_PER_S)
    assert set(played.outcomes()) <= {Outcome.HEAD_TOO_LARGE, Outcome.CUT}
    assert played.outcomes()[Outcome.HEAD_TOO_LARGE] >= 1


def test_head_requests_have_no_body() -> None:
    async def head(client: Client, stream: int, request: Request) -> None:
        client.h2.send_headers(stream, [(":status", "200"), ("content-length", "1000")], end_stream=True)
        client.flush()

    played, server = by_http2(head, Op(method="HEAD", size=0))
    assert only_good(played) >= 6
    assert server.requests[0].headers[":method"] == "HEAD"


def with_body(method: str, body: bytes, slots: int) -> OpTape:
    tape = make_tape([Op(method=method)], slots)
    strings = [tape.strings[i] for i in range(len(tape.strings))]
    strings[int(tape.ops["rest"][0])] = b"Content-Length: %d\r\n\r\n" % len(body) + body
    return OpTape(tape.ops, tape.checks, Strings.of(strings), tape.starts, tape.kinds, tape.groups, tape.kind_shares)


@pytest.mark.parametrize("window", [1_000, 65_535, 1_000_000])
def test_a_body_is_sent_as_the_windows_of_the_server_allow(window: int) -> None:
    body = bytes(range(256)) * 300  # more than the connection's window, which is 65,535 bytes
    server = Http2Server(settings={SettingCodes.INITIAL_WINDOW_SIZE: window})
    played, _ = by_http2(server=server, tape=with_body("POST", body, 4), streams=2, length_ns=2 * NS_PER_S)
    assert only_good(played) >= 1
    assert server.refused == []
    assert {request.body for request in server.requests} == {body}


def test_a_reply_before_the_body_was_sent_ends_the_request() -> None:
    class Early(Http2Server):
        async def _handle(self, client: Client, event: Any) -> None:
            await super()._handle(client, event)
            if type(event).__name__ == "RequestReceived":
                client.reply(event.stream_id, content("/x", 1000))

    server = Early(settings={SettingCodes.INITIAL_WINDOW_SIZE: 10})
    played, _ = by_http2(server=server, tape=with_body("POST", b"." * 100_000, 2), streams=2)
    assert only_good(played) >= 6
    assert len(server.clients) == 1


def test_window_updates_let_long_replies_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadgen.engine.http2.slots.WINDOW_BYTES", 65_535)
    played, server = by_http2(op=Op(size=400_000), length_ns=NS_PER_S)
    assert only_good(played) > 6
    assert server.refused == []


def test_a_given_number_of_requests_is_sent_exactly() -> None:
    played, server = by_http2(requests=20, length_ns=5 * NS_PER_S)
    assert played.outcomes() == {Outcome.OK: 20}
    assert len(server.requests) == 20
    assert played.done_s > 0


def test_a_request_that_takes_too_long_as_a_whole_times_out() -> None:
    async def trickles(client: Client, stream: int, request: Request) -> None:
        client.h2.send_headers(stream, [(":status", "200")])
        for _ in range(50):
            client.h2.send_data(stream, b".")
            client.flush()
            await asyncio.sleep(0.02)

    played, _ = by_http2(trickles, slots=1, streams=1, request_ns=100 * NS_PER_MS, length_ns=NS_PER_S // 2)
    assert set(played.outcomes()) <= {Outcome.TIMED_OUT, Outcome.CUT}
    assert played.outcomes()[Outcome.TIMED_OUT] >= 1
