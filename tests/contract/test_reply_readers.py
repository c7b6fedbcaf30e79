"""The contract of both reply readers: where a client may be lenient, what is refused at once, what is shown of it."""

from __future__ import annotations

import pytest

from loadgen.engine.choice import why_not_compiled
from loadgen.engine.head import MAX_SHOWN_BYTES
from loadgen.engine.http1 import DONE, MAX_CHUNK_LINE_BYTES, MAX_HEAD_BYTES, MORE
from loadgen.model.outcome import Outcome
from tests.support.readers import CompiledReading, PythonReading, Read, Reading
from tests.support.streams import VARIANTS, stream_tape

TAPE = stream_tape(len(VARIANTS))
UNCHECKED = next(row for row, one in enumerate(VARIANTS) if not one.checked)
OK = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture(params=["python", "compiled"])
def reading(request: pytest.FixtureRequest) -> Reading:
    if request.param == "python":
        return PythonReading(TAPE)
    if why := why_not_compiled():
        pytest.skip(why)
    return CompiledReading(TAPE)


def read(reading: Reading, stream: bytes) -> Read:
    """The result for the stream as a whole, which stays open; byte by byte it must be the same."""
    whole = reading.read(UNCHECKED, [stream], close=False)
    pieces = reading.read(UNCHECKED, [stream[at : at + 1] for at in range(len(stream))], close=False)
    assert (pieces.result, pieces.status) == (whole.result, whole.status)
    assert whole == reading.read(UNCHECKED, [stream], close=False)  # now its head is known
    return whole


@pytest.mark.parametrize(
    ("fields", "reusable"),
    [
        ([b"Connection: keep-alive", b"Connection: close"], False),
        ([b"Connection: close", b"Connection: keep-alive"], False),
        ([b"Connection: keep-alive, X-Close-Hint"], True),
        ([b"Connection: x-close, closed, not close"], True),
        ([b"Connection: Keep-Alive,CLOSE"], False),
        ([b"connection:\tupgrade ,, close ,"], False),
        ([b"Connection : close"], False),
        ([b"Connection: keep-alive,\r\n close"], False),
        ([b"X-Connection: close"], True),
        ([b"Connection:"], True),
    ],
)
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_the_connection_options_of_all_lines_are_one_list_of_whole_words(
    reading: Reading, version: bytes, fields: list[bytes], reusable: bool
) -> None:
    lines = b"".join(field + b"\r\n" for field in fields)
    found = read(reading, b"HTTP/%s 200 OK\r\n%sContent-Length: 2\r\n\r\nok" % (version, lines))
    words = {word.strip().lower() for field in fields for word in field.partition(b":")[2].split(b",")}
    assert (found.result, found.body_bytes) == (DONE, 2)
    assert found.reusable == (reusable and (version == b"1.1" or b"keep-alive" in words))


def test_an_old_server_keeps_a_connection_only_if_it_says_so_as_a_whole_word(reading: Reading) -> None:
    head = b"HTTP/1.0 200 OK\r\nConnection: %s\r\nContent-Length: 0\r\n\r\n"
    assert read(reading, head % b"x, Keep-Alive").reusable
    assert not read(reading, head % b"no-keep-alive").reusable
    assert not read(reading, head % b"keep-alive, close").reusable


@pytest.mark.parametrize(
    "stream",
    [
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\n\r\nok",
        b"HTTP/1.1 200 OK\nContent-Length: 2\r\n\nok",
        b"HTTP/1.1 200 OK\r\r\nContent-Length: 2\r\r\n\r\r\nok",
        b"HTTP/1.1\t200  OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
        OK + b"Content-Length : 2\r\n\r\nok",
        OK + b"content-length\t :2\t\r\n\r\nok",
        OK + b"Content-Length:\r\n 2\r\n\r\nok",
        OK + b"X-A: b\r\n\tContent-Length: 9\r\nContent-Length: 2\r\n\r\nok",
        OK + b" Content-Length: 9\r\nContent-Length: 2\r\n\r\nok",
        OK + b"X-A: b\r\n \r\nContent-Length: 2\r\n\r\nok",
        OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        OK + b"Content-Length: 2, 2\r\ncontent-length: 02\r\n\r\nok",
        OK + b"Content-Length: 00000000000000000000000002\r\n\r\nok",
        OK + b"Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nok",
        OK + b"X-\xc3\xa4: \xff\x00\x7f\r\nX:\r\nContent-Length: 2\r\n\r\nok",
        OK + b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: identity, , Chunked\n\n2\nok\n0\n\n",
        OK + b'Transfer-Encoding: chunked\r\n\r\n 02 ; a="b"; c\r\nok\r\n00000000000000000;x\r\n\r\n',
        OK + b"Transfer-Encoding: chunked\r\n\r\n2;" + b"x" * 1000 + b"\r\nok\r\n0\r\nT: %s\r\n\r\n" % (b"t" * 1000),
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nT : 1\r\n folded\r\nU: 2\n\r\n",
        b"HTTP/1.1 100 Continue\n\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nok",
    ],
)
def test_a_reply_is_understood_where_a_client_may_be_lenient(reading: Reading, stream: bytes) -> None:
    found = read(reading, stream)
    assert (found.result, found.status, found.body_bytes) == (DONE, 200, 2)
    assert found.reusable
    assert found.wrong == b""
    assert not found.surplus


@pytest.mark.parametrize(
    "stream",
    [
        b"HTTP/1.0 200 OK\n\nok",
        OK + b"Transfer-Encoding: identity\r\n\r\nok",
        OK + b"Transfer-Encoding: gzip\r\n\r\nok",
        OK + b"Transfer-Encoding: chunked, gzip\r\n\r\nok",
    ],
)
def test_a_reply_without_a_known_length_ends_with_the_connection(reading: Reading, stream: bytes) -> None:
    assert read(reading, stream).result == MORE
    found = reading.read(UNCHECKED, [stream])
    assert (found.result, found.body_bytes, found.reusable) == (DONE, 2, False)


def test_an_old_server_that_sends_chunks_has_its_connection_closed(reading: Reading) -> None:
    found = read(
        reading,
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    )
    assert (found.result, found.body_bytes, found.reusable) == (DONE, 2, False)


CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("stream", "wrong"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", b"SSH-2.0-OpenSSH_9.2"),
        (b"\x15\x03\x01\x00\x02\x02\x46", b"\x15\x03\x01\x00\x02\x02\x46"),
        (b"\r\nHTTP/1.1 200 OK\r\n", b""),
        (b"\0\x01\n", b"\0\x01"),
        (b"http/1.1 200 OK\r\n", b"http/1.1 200 OK"),
        (b"HTTP/2 200\r\n", b"HTTP/2 200"),
        (b"HTTP/1.x 200 OK", b"HTTP/1.x 200 OK"),
        (b"HTTP/1.1 2x", b"HTTP/1.1 2x"),
        (b"HTTP/1.1 200OK\r\n", b"HTTP/1.1 200OK"),
        (b"HTTP/1.1\r\n", b"HTTP/1.1"),
        (b"HTTP/1.1 099 Low\r\n", b"HTTP/1.1 099 Low"),
        (b"HTTP/1.1 101 Switching Protocols\r\n", b"HTTP/1.1 101 Switching Protocols"),
        (OK + b"Server: x\r\nno colon\r\nContent-Le", b"no colon"),
        (OK + b": no name\r\n", b": no name"),
        (OK + b"two words: x\r\n", b"two words: x"),
        (OK + b"na\x01me: x\n", b"na\x01me: x"),
        (OK + b"X: one\rY: two\r", b"X: one\rY: two"),
        (OK + b"X" * 500 + b"\r\n", b"X" * MAX_SHOWN_BYTES),
        (OK + b"Content-Length: 5, 6\r\n\r\n", b"Content-Length: 5, 6"),
        (OK + b"Content-Length: 5\r\nContent-length: 6\r\n\r\n", b"Content-length: 6"),
        (OK + b"Content-Length: +5\r\n\r\n", b"Content-Length: +5"),
        (OK + b"Content-Length:\r\n\r\n", b"Content-Length:"),
        (OK + b"Content-Length: 5 5\r\n\r\n", b"Content-Length: 5 5"),
        (OK + b"Content-Length: 1" + b"0" * 18 + b"\r\n\r\n", b"Content-Length: 1" + b"0" * 18),
        (OK + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", b"Transfer-Encoding: chunked"),
        (OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n", b"Transfer-Encoding: chunked, chunked"),
        (OK + b"Transfer-Encoding: chunked;q=1\r\n\r\n", b"Transfer-Encoding: chunked;q=1"),
        (CHUNKED + b"hello, not in chunks", b"hello, not in chunks"),
        (CHUNKED + b"\r\n", b""),
        (CHUNKED + b"5x\r\n", b"5x"),
        (CHUNKED + b"0x5\r\n", b"0x5"),
        (CHUNKED + b";ext\r\n", b";ext"),
        (CHUNKED + b"1" * 16, b"1" * 16),
        (CHUNKED + b"2\r\nokay", b"ay"),
        (CHUNKED + b"2;" + b"x" * MAX_CHUNK_LINE_BYTES, b"2;" + b"x" * (MAX_SHOWN_BYTES - 2)),
        (CHUNKED + b"0\r\nno colon\r\n", b"no colon"),
    ],
)
def test_what_is_not_understood_is_refused_at_once_and_shown(reading: Reading, stream: bytes, wrong: bytes) -> None:
    found = read(reading, stream)
    assert Outcome(found.result) is Outcome.MALFORMED
    assert found.wrong == wrong
    assert not found.reusable


@pytest.mark.parametrize(
    ("stream", "wrong"),
    [
        (OK + b"X: " + b"a" * MAX_HEAD_BYTES, b"X: " + b"a" * (MAX_SHOWN_BYTES - 3)),
        (OK + b"A: b\r\n" * MAX_HEAD_BYTES, b"A:"),
        (CHUNKED + b"0\r\nT: " + b"t" * MAX_HEAD_BYTES, b"T: " + b"t" * (MAX_SHOWN_BYTES - 3)),
    ],
)
def test_too_large_heads_show_where_they_are_too_large(reading: Reading, stream: bytes, wrong: bytes) -> None:
    found = read(reading, stream)
    assert Outcome(found.result) is Outcome.HEAD_TOO_LARGE
    assert found.wrong[: len(wrong)] == wrong[: len(found.wrong)]


@pytest.mark.parametrize(
    "body", [b"Content-Length: 2\r\n\r\nok", b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"]
)
@pytest.mark.parametrize("surplus", [b"x", b"\r\n", OK + b"Content-Length: 0\r\n\r\n"])
def test_bytes_after_a_reply_are_noticed_and_the_reply_is_right(reading: Reading, body: bytes, surplus: bytes) -> None:
    found = reading.read(UNCHECKED, [OK + body + surplus], close=False)
    assert (found.result, found.body_bytes, found.surplus, found.reusable) == (DONE, 2, True, False)
    again = reading.read(UNCHECKED, [OK + body], close=False)
    assert (again.result, again.surplus, again.reusable) == (DONE, False, True)
