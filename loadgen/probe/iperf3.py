"""iperf3's control protocol, as values: states, cookies, blocks, error numbers.  No I/O.

A test is one TCP connection for control and one more of TCP (or a UDP flow) for each stream, all to one port.
The client shows a cookie of 37 bytes first, on every TCP connection; then each side tells the other one-byte
states, and some of these announce a block: 4 bytes of length, big endian, and JSON.

client: cookie · server: PARAM_EXCHANGE · client: its parameters · [server: LOADGEN and what it is]
server: CREATE_STREAMS · client: connects its streams · server: TEST_START, TEST_RUNNING
client: TEST_END · server: EXCHANGE_RESULTS · client: its results · server: its results, DISPLAY_RESULTS
client: IPERF_DONE

Looked up byte by byte in what iperf3 3.12 sends and answers (and, for numbers of errors, what it prints for them).
"""

from __future__ import annotations

import enum
import json
import os
import struct
from collections.abc import Mapping
from typing import Any

from loadgen.probe.api import ProbeError


class ProtocolError(ProbeError):
    """What the other end sent is not the protocol."""


class State(enum.IntEnum):
    """The one-byte messages of a control connection (signed)."""

    TEST_START = 1
    TEST_RUNNING = 2
    TEST_END = 4
    PARAM_EXCHANGE = 9
    CREATE_STREAMS = 10
    SERVER_TERMINATE = 11
    CLIENT_TERMINATE = 12
    EXCHANGE_RESULTS = 13
    DISPLAY_RESULTS = 14
    IPERF_DONE = 16
    LOADGEN = 40  # ours: a loadgen server says so to a loadgen client, which a stock one never meets
    ACCESS_DENIED = -1
    SERVER_ERROR = -2


COOKIE_BYTES = 37
_COOKIE_LETTERS = b"abcdefghijklmnopqrstuvwxyz234567"

LENGTH = struct.Struct(">I")
"""In front of a block."""

ERROR = struct.Struct(">ii")
"""After SERVER_ERROR: iperf3's number of the error, and errno."""

UDP_CONNECT = struct.pack("<I", 0x36373839)
UDP_ACCEPT = struct.pack("<I", 0x39383736)
UDP_CONNECT_LEGACY = struct.pack("<I", 123456789)  # before iperf 3.9
UDP_ACCEPT_LEGACY = struct.pack("<I", 987654321)
UDP_CONNECTS = {
    UDP_CONNECT: UDP_ACCEPT,
    UDP_CONNECT_LEGACY: UDP_ACCEPT_LEGACY,
    UDP_CONNECT[::-1]: UDP_ACCEPT[::-1],  # iperf3 sends an int of its machine, so a big-endian one does this
    UDP_CONNECT_LEGACY[::-1]: UDP_ACCEPT_LEGACY[::-1],
}
"""The datagram that begins a UDP stream, and the answer to it."""


class ServerFault(enum.IntEnum):
    """The numbers that our server sends after SERVER_ERROR; iperf3 prints its own words for them."""

    STREAMS = 6
    DURATION = 5
    UDP_BLOCK = 20
    PARAMETERS = 114
    STREAM = 204
    CONGESTION = 134


_FAULTS: Mapping[int, str] = {
    5: "the test lasts too long for it",
    6: "it does not take so many parallel streams",
    7: "it does not take blocks of that size",
    8: "it does not take a window of that size",
    10: "it does not take an MSS of that size",
    12: "it does not take that omitted time",
    15: "it does not take bursts of that size",
    20: "it does not take datagrams of that size",
    27: "the rate is above the server's limit",
    106: "it could not read the cookie",
    109: "its control connection was closed",
    110: "it did not understand a message",
    114: "it could not read the parameters",
    117: "it could not read the results",
    119: "it thinks that the client has ended the test",
    123: "it could not set the MSS",
    124: "it could not set the buffers",
    130: "it could not set the window",
    132: "it could not set the CPU affinity",
    134: "it does not know that congestion control",
    140: "it could not set the pacing",
    141: "its kernel did not grant the window",
    142: "it wants a user name and a password",
    144: "it received nothing for too long",
    200: "it could not create a stream",
    201: "it could not set up a stream",
    203: "it could not connect a stream",
    204: "it could not accept a stream",
    205: "it could not write to a stream",
    206: "it could not read from a stream",
    207: "a stream of it was closed",
}


def fault_text(number: int, errno: int) -> str:
    """What a SERVER_ERROR means, in words."""
    text = _FAULTS.get(number, f"iperf3's error number {number}")
    # Below 100 they are about what was asked, and iperf3 leaves some older errno beside them.
    return f"{text} ({os.strerror(errno)})" if number >= 100 and number != 134 and errno > 0 else text


def cookie_of(random: bytes) -> bytes:
    """A cookie from 36 random bytes."""
    return bytes(_COOKIE_LETTERS[byte % 32] for byte in random[: COOKIE_BYTES - 1]) + b"\0"


def check_cookie(cookie: bytes) -> bytes:
    """The cookie, if it can be one: 36 printable ASCII characters and a NUL.  Raises ProtocolError."""
    if len(cookie) != COOKIE_BYTES or cookie[-1] or not all(33 <= byte < 127 for byte in cookie[:-1]):
        raise ProtocolError("it began with something that is no cookie of iperf3")
    return cookie


def state_of(byte: bytes) -> State:
    """The state that one byte means.  Raises ProtocolError."""
    number = int.from_bytes(byte, "big", signed=True)
    try:
        return State(number)
    except ValueError:
        raise ProtocolError(f"it sent the unknown state {number}") from None


def state_byte(state: State) -> bytes:
    """The inverse of :func:`state_of`."""
    return int(state).to_bytes(1, "big", signed=True)


def stream_ids(count: int) -> tuple[int, ...]:
    """The ids that both ends give to `count` streams, in order of creation: 1, 3, 4, 5, …"""
    return tuple(1 if index == 0 else index + 2 for index in range(count))


def block(value: object) -> bytes:
    """`value` as a block of JSON, its length in front."""
    body = json.dumps(value, separators=(",", ":")).encode()
    return LENGTH.pack(len(body)) + body


def block_length(header: bytes, limit: int) -> int:
    """How many bytes of a block follow.  Raises ProtocolError above `limit`."""
    (size,) = LENGTH.unpack(header)
    if size > limit:
        raise ProtocolError(f"it announced a block of {size} bytes; {limit} is the limit")
    return int(size)


def parse_block(body: bytes) -> dict[str, Any]:
    """The JSON object of a block.  Raises ProtocolError on anything else."""
    try:
        value = json.loads(body.rstrip(b"\0"), parse_constant=_no_constant)
    except RecursionError:
        raise ProtocolError("it sent a block that is no JSON: it is nested too deep") from None
    except ValueError as error:  # UnicodeDecodeError and numbers of thousands of digits too
        raise ProtocolError(f"it sent a block that is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise ProtocolError("it sent a block that is no JSON object")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")
