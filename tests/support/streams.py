"""Random and malformed response streams, equal for equal seeds, and a tape whose rows expect such streams."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from loadgen.engine.http1 import MAX_CHUNK_LINE_BYTES, MAX_HEAD_BYTES
from loadgen.schedule.optape import CHECK_DTYPE, KEEP_ALIVE, OP_DTYPE, START_DTYPE, OpTape, StringsBuilder

PREFIX, STRIDE, PERIOD, LITERAL, LITERAL_AT = b"   60 x\n", 7, b"abc", b"AD", (20, 41)
ANCHOR, SUFFIX, CONTENT_BYTES, COOKIE = b"<pre>", b"</pre>", 60, b"a=1&b=2"
EDGE_BYTES = (-2, -1, 0, 1, 2, 3, 4)  # lengths around a limit


@dataclass(frozen=True, slots=True)
class Expecting:
    """The expectation of one row of the tape about its reply."""

    checked: bool = True
    framed: bool = False
    pattern: bool = True
    status: int = 200
    cookie: bool = False


VARIANTS = (
    Expecting(),
    Expecting(framed=True),
    Expecting(pattern=False, framed=True),
    Expecting(cookie=True, status=0),
    Expecting(checked=False, status=0),
)


def right_body(expecting: Expecting) -> bytes:
    """Return the body that passes the check of its row."""
    content = bytearray(PREFIX + b"." * (CONTENT_BYTES - len(PREFIX)))
    for j, at in enumerate(range(len(PREFIX), CONTENT_BYTES, STRIDE)):
        content[at] = PERIOD[j % len(PERIOD)]
    for at in LITERAL_AT:
        content[at : at + len(LITERAL)] = LITERAL
    return b"<html>" + ANCHOR + content + SUFFIX if expecting.framed else bytes(content)


def stream_tape(rows: int, connections: int = 1) -> OpTape:
    """Return a ring of `rows`: row i requests /i and expects VARIANTS[i mod len(VARIANTS)]."""
    strings = StringsBuilder()
    ops, checks = np.zeros(rows, dtype=OP_DTYPE), np.zeros(len(VARIANTS), dtype=CHECK_DTYPE)
    rest = strings.add(b"\r\n")
    for i, one in enumerate(VARIANTS):
        checks[i] = (
            strings.add(ANCHOR if one.framed else b""),
            CONTENT_BYTES if one.checked else -1,
            strings.add(PREFIX),
            strings.add(PERIOD if one.pattern else b""),
            STRIDE,
            strings.add(SUFFIX if one.framed else b""),
            LITERAL_AT,
        )
    for i in range(rows):
        one = VARIANTS[i % len(VARIANTS)]
        line = strings.add(f"GET /{i} HTTP/1.1\r\n".encode())
        cookie, literal = strings.add(COOKIE if one.cookie else b""), strings.add(LITERAL)
        ops[i] = (line, rest, i % len(VARIANTS), cookie, literal, (i + 1) % rows, 0, one.status, 0, 0, KEEP_ALIVE, 0, 0)
    starts = np.zeros((1, connections), dtype=START_DTYPE)
    return OpTape(ops, checks, strings.build(), starts, ("only",), ("get",), (1.0,))


def make_stream(row: int, seed: int) -> bytes:
    """Return a stream for `row`: a correct reply, a reply with one error, a reply at a limit, or almost no reply."""
    dice = random.Random(seed * 1_000_003 + row)
    stream = _reply(dice, VARIANTS[row % len(VARIANTS)])
    for _ in range(dice.choice((0, 0, 0, 1, 1, 2, 3))):
        stream = dice.choice(_MISCHIEF)(stream, dice)
    return stream


def _reply(dice: random.Random, expecting: Expecting) -> bytes:
    status = dice.choice((200, 200, 200, 200, 204, 302, 304, 404, 500))
    body = right_body(expecting)
    body = dice.choice((body, body, body, body, body[:-1], body + b"!", b"", body.replace(b".", b"\r\n\r\n", 1)))
    if dice.random() < 0.1 and body:
        at = dice.randrange(len(body))
        body = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
    lines = [b"Server: x", b"X-Some: " + b"y" * dice.choice((0, 1, 40))]
    lines += dice.choice(
        (
            [],
            [],
            [b"Connection: close"],
            [b"connection:  Keep-Alive "],
            [b"Connection: x, CLOSE, y"],
            [b"Connection: keep-alive", b"Connection : close"],
            [b"Connection: not-close, keep-alive-x"],
        )
    )
    lines += dice.choice(
        (
            [],
            [b"Set-Cookie: " + COOKIE + b"; Path=/"],
            [b"SET-cookie:" + COOKIE],
            [b"Set-Cookie: z", b"Set-Cookie: " + COOKIE],
        )
    )
    framing = dice.choice(("length", "length", "length", "chunked", "chunked", "close", "both", "twice", "odd"))
    if framing in ("length", "both", "twice"):
        lines += [b"Content-Length: %d" % len(body)] * (2 if framing == "twice" else 1)
    if framing in ("chunked", "both"):
        lines += [dice.choice((b"Transfer-Encoding: chunked", b"transfer-ENCODING:  ChunkeD\t"))]
    if framing == "odd":
        lines += [dice.choice(_ODD) % {b"size": len(body)}]
    dice.shuffle(lines)
    head = b"HTTP/1.%d %d%s\r\n" % (dice.choice((1, 1, 1, 0)), status, dice.choice((b" OK", b"", b" a b  c")))
    interim = b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" * dice.choice((0, 0, 0, 0, 1, 2))
    head = dice.choice((head, head, head, head.replace(b" ", b"\t\v ")))
    return (
        interim
        + head
        + b"".join(line + b"\r\n" for line in lines)
        + b"\r\n"
        + (_chunks(dice, body) if framing in ("chunked", "both") else body)
    )


def _chunks(dice: random.Random, body: bytes) -> bytes:
    out, at = [], 0
    while at < len(body):
        piece = body[at : at + dice.randrange(1, 40)]
        out.append(dice.choice((b"%x", b"%X;note=1", b" 0%x\t")) % len(piece) + b"\r\n" + piece + b"\r\n")
        at += len(piece)
    return b"".join(out) + b"0\r\n" + b"T: 1\r\n" * dice.choice((0, 0, 1, 3)) + b"\r\n"


def _bare(stream: bytes, dice: random.Random) -> bytes:
    """Return the stream with other line ends: some or all without their CR, or with two."""
    end, at = dice.choice((b"\n", b"\n", b"\r\r\n")), dice.randrange(len(stream) + 1)
    return dice.choice((stream.replace(b"\r\n", end), stream[:at] + stream[at:].replace(b"\r\n", end)))


def _fold(stream: bytes, dice: random.Random) -> bytes:
    """Return the stream with a line folded, at a space or right after its beginning."""
    at = dice.choice([at for at in range(len(stream)) if stream[at : at + 1] in b" \n"] or [0])
    return stream[:at] + dice.choice((b"\r\n ", b"\n\t", b"\r\n  \r\n ")) + stream[at:]


def _insert(stream: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(stream) + 1)
    junk = dice.choice(
        (b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\0", b"\xff" * 9, b"HTTP/1.1 ", b":", b";", b" ", b"0\r\n")
    )
    return stream[:at] + junk + stream[at:]


def _delete(stream: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(stream) + 1)
    return stream[:at] + stream[at + dice.randrange(1, 5) :]


def _flip(stream: bytes, dice: random.Random) -> bytes:
    if not stream:
        return stream
    at = dice.randrange(len(stream))
    return stream[:at] + bytes([dice.randrange(256)]) + stream[at + 1 :]


def _cut(stream: bytes, dice: random.Random) -> bytes:
    return stream[: dice.randrange(len(stream) + 1)]


def _pipelined(stream: bytes, dice: random.Random) -> bytes:
    return stream + dice.choice((b"x", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", stream))


def _oversized(stream: bytes, dice: random.Random) -> bytes:
    """Return a stream part as long as its limit, or slightly shorter or longer."""
    off = dice.choice(EDGE_BYTES)
    head_at, body_at = stream.find(b"\r\n"), stream.find(b"\r\n\r\n")
    if dice.random() < 0.4 and 0 <= head_at < body_at:
        long = b"\r\nX-Long: " + b"z" * max(0, MAX_HEAD_BYTES - body_at - 10 + off)
        return stream[:head_at] + long + stream[head_at:]
    line = dice.choice((b"5;", b"0;", b"T: ")) + b"z" * (MAX_CHUNK_LINE_BYTES - 2 + off) + b"\r\n"
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    trailers = b"0\r\n" + (b"T: " + b"t" * 61 + b"\r\n") * (MAX_HEAD_BYTES // 64) + b"U" * (off + 3) + b"\r\n\r\n"
    digits = b"0" * dice.choice((14, 15)) + b"5\r\nhello\r\n0\r\n\r\n", b"f" * dice.choice((15, 16)) + b"\r\nabc"
    return chunked + dice.choice((*digits, line, trailers))


def _garbage(stream: bytes, dice: random.Random) -> bytes:
    return dice.randbytes(dice.randrange(60))


_ODD = (
    b"Content-Length:",
    b"Content-Length: +5",
    b"Content-Length: %(size)d, 00%(size)d",
    b"Content-Length\t: %(size)d",
    b"Content-Length:\r\n %(size)d",
    b"Transfer-Encoding: identity\r\nContent-Length: %(size)d",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked, gzip",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: Chunked",
    b"Transfer-Encoding: chunked;a=b",
    b"no colon",
    b": no name",
)

_MISCHIEF: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _bare,
    _bare,
    _fold,
    _insert,
    _insert,
    _delete,
    _flip,
    _flip,
    _cut,
    _cut,
    _pipelined,
    _oversized,
    _garbage,
)
