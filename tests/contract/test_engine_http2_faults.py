"""The faults that only HTTP/2 has: limits of streams, GOAWAY, RST_STREAM, wrong frames, silence, closed connections."""

from __future__ import annotations

import asyncio
import struct

import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from loadgen.engine.api import Arrivals
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_MS, NS_PER_S
from tests.support import scripted
from tests.support.engines import Played, play, python_engine
from tests.support.http2_play import by_http2, only_good, run
from tests.support.http2_server import ACK, Client, Http2Server, Request, frame, good, vanish
from tests.support.scripted import ScriptedServer
from tests.support.tapes import Op, content, make_tape


def test_a_lower_limit_of_streams_is_kept_by_more_connections_and_told() -> None:
    server = Http2Server(settings={SettingCodes.MAX_CONCURRENT_STREAMS: 2})
    played, _ = by_http2(server=server, slots=5, streams=5)
    assert only_good(played) >= 6
    assert server.most_at_once <= 2
    assert len(server.clients) == 3
    assert server.refused == []
    assert played.remarks["the server allows 2 streams per connection, fewer than asked"] == 3


def test_a_limit_of_no_streams_is_a_pause() -> None:
    server = Http2Server(settings={SettingCodes.MAX_CONCURRENT_STREAMS: 0})
    played, _ = by_http2(server=server, timeout_ns=50 * NS_PER_MS, slots=2, streams=2, length_ns=NS_PER_S // 2)
    assert set(played.outcomes()) <= {Outcome.TIMED_OUT, Outcome.CUT}
    assert server.requests == []


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_goaway_lets_running_streams_end_and_repeats_the_others(method: str) -> None:
    async def leaves(client: Client, stream: int, request: Request) -> None:
        if client.seen < 3:
            return  # answered with the third
        client.goaway(3)  # the streams 1 and 3 are processed, 5 is not
        for own in (1, 3):
            client.reply(own, content(request.path, request.size))

    played, server = by_http2(leaves, Op(method=method), slots=3, streams=3)
    outcomes = played.outcomes()
    assert set(outcomes) <= {Outcome.OK, Outcome.CUT, Outcome.NO_REPLY}
    assert outcomes[Outcome.OK] >= 6
    assert played.cell().retries > 3
    assert server.refused == []
    assert played.remarks["GOAWAY with NO_ERROR (a graceful end)"] >= 3


def test_a_request_that_no_server_wants_to_process_fails_after_one_repeat() -> None:
    async def leaves(client: Client, stream: int, request: Request) -> None:
        client.goaway(0, ErrorCodes.ENHANCE_YOUR_CALM)

    played, server = by_http2(leaves, slots=1, streams=1)
    outcomes = played.outcomes()
    assert set(outcomes) <= {Outcome.NO_REPLY, Outcome.CUT}
    assert outcomes[Outcome.NO_REPLY] > 1
    assert 2 * outcomes[Outcome.NO_REPLY] <= len(server.requests) <= 2 * outcomes[Outcome.NO_REPLY] + 2
    assert played.remarks["GOAWAY with ENHANCE_YOUR_CALM (the server finds the load excessive)"] > 1


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (ErrorCodes.INTERNAL_ERROR, "RST_STREAM with INTERNAL_ERROR (an error inside the server)"),
        (ErrorCodes.REFUSED_STREAM, "RST_STREAM with REFUSED_STREAM (the server did not process the request)"),
        (0xABC, "RST_STREAM with the unknown code 0xabc"),
    ],
)
def test_a_reset_stream_is_told_with_its_code(code: int, said: str) -> None:
    async def resets(client: Client, stream: int, request: Request) -> None:
        client.reset(stream, code)

    played, server = by_http2(resets, slots=2, streams=2)
    outcomes = played.outcomes()
    assert set(outcomes) <= {Outcome.RESET, Outcome.CUT}
    assert outcomes[Outcome.RESET] > 4
    assert played.remarks[said] >= outcomes[Outcome.RESET]
    assert len(server.clients) == 1  # other streams are not to blame
    repeats = 2 if code == ErrorCodes.REFUSED_STREAM else 1
    assert len(server.requests) == pytest.approx(repeats * outcomes[Outcome.RESET], abs=4)


def test_a_refused_stream_is_sent_once_more() -> None:
    async def refuses_each_other(client: Client, stream: int, request: Request) -> None:
        if client.seen % 2:
            client.reset(stream, ErrorCodes.REFUSED_STREAM)
        else:
            await good(client, stream, request)

    played, _ = by_http2(refuses_each_other, Op(method="POST"), slots=1, streams=1)
    assert only_good(played) > 5
    assert played.cell().retries >= only_good(played)


def test_a_ping_is_answered() -> None:
    async def pings(client: Client, stream: int, request: Request) -> None:
        client.h2.ping(b"12345678")
        await good(client, stream, request)

    played, server = by_http2(pings)
    assert only_good(played) >= 6
    assert sum(client.pings for client in server.clients) >= 6


def test_a_server_that_never_acknowledges_settings() -> None:
    played, _ = by_http2(server=Http2Server(hides=ACK))
    assert only_good(played) >= 6


@pytest.mark.parametrize(
    "wrong",
    [
        frame(0, 0, b"data on stream 0"),
        frame(6, 0, b"short"),
        frame(4, 0, struct.pack("!HI", 5, 1)),  # SETTINGS_MAX_FRAME_SIZE of 1
        frame(8, 0, bytes(4)),  # a window that grows by nothing
        frame(1, 99, b"\x88", 4),  # headers on a stream that is not open
        frame(7, 0, b"bye"),
        b"\xff\xff\xff" + bytes(6),
        frame(5, 1, struct.pack("!I", 2) + b"\x82", 4),  # a push, which was refused
    ],
    ids=["data", "ping", "settings", "window", "headers", "goaway", "long", "push"],
)
def test_a_wrong_frame_is_malformed_at_once(wrong: bytes) -> None:
    async def breaks(client: Client, stream: int, request: Request) -> None:
        client.raw(wrong)

    played, _ = by_http2(breaks, slots=1, streams=1, timeout_ns=60 * NS_PER_S)
    outcomes = played.outcomes()
    assert set(outcomes) <= {Outcome.MALFORMED, Outcome.CUT}
    assert outcomes[Outcome.MALFORMED] > 1
    assert played.remarks


def test_a_wrong_frame_of_one_stream_blames_only_this_stream() -> None:
    async def breaks(client: Client, stream: int, request: Request) -> None:
        if client.seen == 4:
            client.raw(frame(1, stream, b"\xff\xff\xff\xff\xff\xff", 4))  # not HPACK
        elif client.seen < 3:
            await good(client, stream, request)

    played, server = by_http2(breaks, slots=2, streams=2, timeout_ns=60 * NS_PER_S)
    outcomes = played.outcomes()
    assert outcomes[Outcome.MALFORMED] >= 1
    assert outcomes[Outcome.MALFORMED] == pytest.approx(len(server.clients), abs=1)
    assert played.cell().retries >= outcomes[Outcome.MALFORMED] - 1  # those of the other stream


def test_a_length_that_is_not_that_of_the_body() -> None:
    async def lies(client: Client, stream: int, request: Request) -> None:
        client.reply(stream, b"12345", extra=(("content-length", "9"),))

    played, _ = by_http2(lies, slots=1, streams=1)
    assert set(played.outcomes()) <= {Outcome.BAD_LENGTH, Outcome.CUT}


def test_one_silent_stream_times_out_and_others_go_on() -> None:
    async def forgets_one(client: Client, stream: int, request: Request) -> None:
        if stream != 1:
            await good(client, stream, request)

    played, server = by_http2(forgets_one, slots=2, streams=2, timeout_ns=500 * NS_PER_MS, length_ns=3 * NS_PER_S // 2)
    outcomes = played.outcomes()
    assert outcomes[Outcome.TIMED_OUT] == 1
    assert outcomes[Outcome.OK] >= 6
    assert len(server.clients) == 1


def test_a_silent_connection_is_given_up() -> None:
    async def freezes(client: Client, stream: int, request: Request) -> None:
        if client.seen < 4 or client.number:
            await good(client, stream, request)

    played, server = by_http2(freezes, slots=2, streams=2, timeout_ns=500 * NS_PER_MS, length_ns=3 * NS_PER_S // 2)
    outcomes = played.outcomes()
    assert outcomes[Outcome.TIMED_OUT] == 2
    assert outcomes[Outcome.OK] >= 6
    assert len(server.clients) == 2


def test_a_server_that_says_nothing_at_all_times_out() -> None:
    async def scenario() -> Played:
        async with ScriptedServer(scripted.silent) as server:
            return await play(
                python_engine,
                make_tape([Op()], 4),
                [server.port],
                streams=2,
                timeout_ns=100 * NS_PER_MS,
                length_ns=NS_PER_S // 2,
            )

    played = run(scenario)
    assert set(played.outcomes()) <= {Outcome.TIMED_OUT, Outcome.CUT}
    assert played.outcomes()[Outcome.TIMED_OUT] >= 4


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_connection_that_ends_within_replies(how: str) -> None:
    async def ends(client: Client, stream: int, request: Request) -> None:
        client.h2.send_headers(stream, [(":status", "200")])
        client.flush()
        await asyncio.sleep(0.01)
        if how == "reset":
            await vanish(client)
        else:
            client.writer.close()

    played, _ = by_http2(ends, slots=1, streams=1)
    expected = Outcome.RESET if how == "reset" else Outcome.CLOSED_EARLY
    assert set(played.outcomes()) <= {expected, Outcome.CUT}
    assert played.outcomes()[expected] > 1


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_close_between_two_requests_is_as_in_http1(method: str) -> None:
    async def closes(client: Client, stream: int, request: Request) -> None:
        if client.seen < 4:
            await good(client, stream, request)
        else:
            client.writer.close()

    played, _ = by_http2(closes, Op(method=method), slots=1, streams=1, length_ns=NS_PER_S)
    outcomes = played.outcomes()
    assert outcomes[Outcome.OK] > 6
    if method == "GET":
        assert set(outcomes) <= {Outcome.OK, Outcome.CUT}
        assert played.cell().retries > 2
    else:
        assert outcomes[Outcome.NO_REPLY] > 2
        assert played.cell().rest_ns == 0


def test_nobody_listens() -> None:
    async def scenario() -> Played:
        async with Http2Server() as server:
            port = server.port
        return await play(python_engine, make_tape([Op()], 4), [port], streams=2, length_ns=NS_PER_S // 8)

    played = run(scenario)
    assert set(played.outcomes()) == {Outcome.REFUSED}
    assert played.cell().service_failed.total == 0  # no request was sent


def test_an_open_loop_counts_from_the_due_time() -> None:
    async def slow(client: Client, stream: int, request: Request) -> None:
        await asyncio.sleep(0.02)
        await good(client, stream, request)

    arrivals = Arrivals(rate_per_s=200, poisson=False, seed=1, part=0, parts=1, max_backlog=5)
    played, _ = by_http2(slow, slots=1, streams=1, arrivals=arrivals, length_ns=NS_PER_S // 2)
    outcomes = played.outcomes()
    assert sum(outcomes.values()) == 100
    assert outcomes[Outcome.SHED] > 5
    assert played.cell().response.percentile_ns(50) > 2 * played.cell().service.percentile_ns(50)  # type: ignore[operator]


def test_an_open_loop_uses_all_streams() -> None:
    arrivals = Arrivals(rate_per_s=400, poisson=True, seed=1, part=0, parts=1, max_backlog=500)
    played, server = by_http2(arrivals=arrivals, slots=6, streams=3)
    assert only_good(played) > 10
    assert len(server.clients) == 2
    assert server.refused == []
