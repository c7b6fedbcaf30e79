"""The sans-IO reply reader: framings, limits, and results that do not depend on the pieces of the stream."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from loadgen.engine.http1 import DONE, MAX_HEAD_BYTES, MAX_HEADS, MAX_KNOWN_BYTES, MORE, Head, ReplyReader
from loadgen.model.outcome import Outcome


class Collects:
    """A sink that keeps the body, and rejects it beyond a limit."""

    def __init__(self, most: int = 1 << 20) -> None:
        self.body = b""
        self._most = most

    def look(self, data: bytes | bytearray, start: int, end: int) -> bool:
        self.body += data[start:end]
        return len(self.body) <= self._most


@dataclass(frozen=True)
class Read:
    """All results of a reader for a stream."""

    result: int
    status: int
    body: bytes
    reusable: bool
    cookie: bytes


def read(stream: bytes, cuts: list[int] | None = None, *, close: bool = True) -> Read:
    """Feed `stream` in pieces, then end it if the reply is incomplete.  A known head must not change the result."""
    known: dict[bytes, Head] = {}
    first = _read(stream, cuts, close, known)
    assert _read(stream, cuts, close, known) == first
    return first


def _read(stream: bytes, cuts: list[int] | None, close: bool, known: dict[bytes, Head]) -> Read:
    reader, sink = ReplyReader(known), Collects()
    reader.begin(sink)
    edges = [0, *sorted({cut % (len(stream) + 1) for cut in cuts or []}), len(stream)]
    result = MORE
    for low, high in itertools.pairwise(edges):
        if low == high:
            continue
        result = reader.feed(stream[low:high])
        if result != MORE:
            break
    if result == MORE and close:
        result = reader.eof()
    return Read(result, reader.status, sink.body, reader.reusable, reader.set_cookie())


def test_a_reply_with_content_length() -> None:
    assert read(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: a=b&c=1; Path=/\r\n\r\nhello") == Read(
        DONE, 200, b"hello", True, b"a=b&c=1"
    )


def test_a_chunked_reply() -> None:
    stream = (
        b"HTTP/1.1 200 OK\r\nTRANSFER-ENCODING: Chunked\r\n\r\n5;x=1\r\nhello\r\nA\r\n wonderful\r\n0\r\nT: 1\r\n\r\n"
    )
    assert read(stream) == Read(DONE, 200, b"hello wonderful", True, b"")


def test_a_reply_that_ends_with_the_connection() -> None:
    assert read(b"HTTP/1.0 200 OK\r\n\r\nhello") == Read(DONE, 200, b"hello", False, b"")


@pytest.mark.parametrize(
    ("head", "reusable"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: Keep-Alive\r\n\r\n", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", True),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nsurplus", False),
    ],
)
def test_when_a_connection_can_be_used_again(head: bytes, reusable: bool) -> None:
    found = read(head, close=False)
    assert (found.result, found.reusable, found.body) == (DONE, reusable, b"")


@pytest.mark.parametrize(
    ("stream", "outcome"),
    [
        (b"", Outcome.NO_REPLY),
        (b"HTT", Outcome.CLOSED_EARLY),
        (b"SSH-2.0-OpenSSH\r\n", Outcome.MALFORMED),
        (b"HTTP/1.1 2000 OK\r\n\r\n", Outcome.MALFORMED),
        (b"HTTP/1.1 abc OK\r\n\r\n", Outcome.MALFORMED),
        (b"HTTP/1.1 099 Low\r\n\r\n", Outcome.MALFORMED),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", Outcome.MALFORMED),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", Outcome.CLOSED_EARLY),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", Outcome.MALFORMED),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", Outcome.MALFORMED),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", Outcome.MALFORMED),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", Outcome.MALFORMED),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", Outcome.MALFORMED),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n", Outcome.MALFORMED),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 20 + b"\r\n", Outcome.MALFORMED),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"x" * 5000 + b"\r\n", Outcome.MALFORMED),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", Outcome.CLOSED_EARLY),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * MAX_HEAD_BYTES + b"\r\n\r\n", Outcome.HEAD_TOO_LARGE),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * (2 * MAX_HEAD_BYTES), Outcome.HEAD_TOO_LARGE),
    ],
)
def test_every_error_has_an_outcome(stream: bytes, outcome: Outcome) -> None:
    found = read(stream)
    assert Outcome(found.result) is outcome
    assert not found.reusable


def test_endless_trailers_are_refused() -> None:
    stream = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"T: 1234567890\r\n" * 2000
    assert Outcome(read(stream).result) is Outcome.HEAD_TOO_LARGE


def test_a_body_that_the_sink_rejects_ends_the_reply() -> None:
    reader = ReplyReader({})
    reader.begin(Collects(most=10))
    assert reader.feed(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 11) == Outcome.BAD_LENGTH


def test_an_unfinished_head_is_kept_only_up_to_the_limit() -> None:
    reader = ReplyReader({})
    reader.begin(None)
    assert reader.feed(b"HTTP/1.1 200 OK\r\n") == MORE
    fed, result = 17, MORE
    while result == MORE:
        result = reader.feed(b"X-A: b\r\n")
        fed += 8
        assert fed < 2 * MAX_HEAD_BYTES
    assert Outcome(result) is Outcome.HEAD_TOO_LARGE


def test_the_number_and_length_of_known_heads_are_limited() -> None:
    known: dict[bytes, Head] = {}
    reader = ReplyReader(known)
    for number in range(3 * MAX_HEADS):
        reader.begin(None)
        head = f"HTTP/1.1 200 OK\r\nX-Number: {number}\r\nContent-Length: 0\r\n\r\n".encode()
        assert reader.feed(head) == DONE
        assert 0 < len(known) <= MAX_HEADS
    for size, kept in ((MAX_KNOWN_BYTES // 2, True), (MAX_KNOWN_BYTES, False)):
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: " + b"x" * size + b"\r\n"
        reader.begin(None)
        assert reader.feed(head + b"\r\n") == DONE
        assert (head + b"\r\n" in known) == kept


framings = st.sampled_from([b"Content-Length: 12\r\n", b"Transfer-Encoding: chunked\r\n", b""])
bodies = st.sampled_from([b"hello, world", b"c\r\nhello, world\r\n0\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n", b"", b"zz"])
heads = st.sampled_from(
    [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 404 No\r\n", b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\n", b"HTTP/9"]
)
replies = st.builds(lambda h, f, b: h + f + b"\r\n" + b, heads, framings, bodies)
hostile = st.one_of(
    replies,
    st.binary(max_size=80),
    st.builds(
        lambda reply, at, junk: reply[: at % len(reply)] + junk + reply[at % len(reply) :],
        replies,
        st.integers(0, 500),
        st.binary(max_size=6),
    ),
)


@settings(max_examples=400, deadline=None)
@given(stream=hostile, cuts=st.lists(st.integers(0, 500), max_size=6))
def test_the_pieces_of_a_stream_do_not_change_the_result(stream: bytes, cuts: list[int]) -> None:
    whole = read(stream)
    for cut in (read(stream, cuts), read(stream, list(range(len(stream))))):
        # Surplus bytes that were not fed do not make the connection unusable.
        assert replace(cut, reusable=whole.reusable) == whole
        assert cut.reusable or not whole.reusable
    assert whole.result == DONE or Outcome(whole.result).is_error
