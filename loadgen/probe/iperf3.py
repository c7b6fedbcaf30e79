"""iperf3's control protocol as values: states, cookies, blocks, error numbers.  No I/O.

A test has one TCP connection for control and one TCP connection (or UDP flow) per stream, all to the same port.  On
every TCP connection, the client first sends a cookie of 37 bytes.  On the control connection, both sides then send
one-byte states.  Some states announce a block: a length (4 bytes, big endian) and JSON.

client: cookie · server: PARAM_EXCHANGE · client: its parameters · [server: LOADGEN and what it is]
server: CREATE_STREAMS · client: connects its streams · server: TEST_START, TEST_RUNNING
client: TEST_END · server: EXCHANGE_RESULTS · client: its results · server: its results, DISPLAY_RESULTS
client: IPERF_DONE

Derived from the bytes that iperf3 3.12 sends, and from the texts that it prints for error numbers.
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
    """The far end sent something that the protocol does not allow."""


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
    LOADGEN = 40  # our extension: sent by a loadgen server to a loadgen client only
    ACCESS_DENIED = -1
    SERVER_ERROR = -2


COOKIE_BYTES = 37
_COOKIE_LETTERS = b"abcdefghijklmnopqrstuvwxyz234567"

LENGTH = struct.Struct(">I")
"""The length before a block."""

ERROR = struct.Struct(">ii")
"""The data after SERVER_ERROR: iperf3's error number, and errno."""

UDP_CONNECT = struct.pack("<I", 0x36373839)
UDP_ACCEPT = struct.pack("<I", 0x39383736)
UDP_CONNECT_LEGACY = struct.pack("<I", 123456789)  # before iperf 3.9
UDP_ACCEPT_LEGACY = struct.pack("<I", 987654321)
UDP_CONNECTS = {
    UDP_CONNECT: UDP_ACCEPT,
    UDP_CONNECT_LEGACY: UDP_ACCEPT_LEGACY,
    UDP_CONNECT[::-1]: UDP_ACCEPT[::-1],  # iperf3 sends an int in host byte order; this is a big-endian host
    UDP_CONNECT_LEGACY[::-1]: UDP_ACCEPT_LEGACY[::-1],
}
"""The first datagram of a UDP stream, and the answer to it."""

GREETING_SIZES = (len(UDP_CONNECT), len(UDP_CONNECT) + COOKIE_BYTES)
"""The sizes of a greeting: of iperf3, and with the cookie of its test, which a loadgen client may append."""

UDP_COOKIES = "udp_cookies"
"""The key with which both ends say that a greeting may end with the cookie of its test; used if both say so."""


class ServerFault(enum.IntEnum):
    """The error numbers that our server sends after SERVER_ERROR; iperf3 prints its own text for each."""

    STREAMS = 6
    DURATION = 5
    UDP_BLOCK = 20
    PARAMETERS = 114
    STREAM = 204
    CONGESTION = 134
    LOGIN = 142  # sent by a stock iperf3 only


_FAULTS: Mapping[int, str] = {
    5: "the test is longer than it allows",
    6: "it does not allow this many parallel streams",
    7: "it does not allow blocks of that size",
    8: "it does not allow a window of that size",
    10: "it does not allow an MSS of that size",
    12: "it does not allow that omitted time",
    15: "it does not allow bursts of that size",
    20: "it does not allow datagrams of that size",
    27: "the rate is above the server's limit",
    106: "it could not read the cookie",
    109: "its control connection was closed",
    110: "it did not understand a message",
    114: "it could not read the parameters",
    117: "it could not read the results",
    119: "it assumes that the client ended the test",
    123: "it could not set the MSS",
    124: "it could not set the buffers",
    130: "it could not set the window",
    132: "it could not set the CPU affinity",
    134: "it does not know that congestion control",
    140: "it could not set the pacing",
    141: "its kernel did not grant the window",
    142: "it requires a user name and a password",
    144: "it received nothing for too long",
    200: "it could not create a stream",
    201: "it could not set up a stream",
    203: "it could not connect a stream",
    204: "it could not accept a stream",
    205: "it could not write to a stream",
    206: "it could not read from a stream",
    207: "one of its streams was closed",
}


def fault_text(number: int, errno: int) -> str:
    """The meaning of a SERVER_ERROR, in words."""
    text = _FAULTS.get(number, f"iperf3's error number {number}")
    # Numbers below 100 concern the parameters; iperf3 then sends an unrelated, older errno.
    return f"{text} ({os.strerror(errno)})" if number >= 100 and number != 134 and errno > 0 else text


def cookie_of(random: bytes) -> bytes:
    """A cookie from 36 random bytes."""
    return bytes(_COOKIE_LETTERS[byte % 32] for byte in random[: COOKIE_BYTES - 1]) + b"\0"


def check_cookie(cookie: bytes) -> bytes:
    """`cookie` itself if it is 36 printable ASCII characters and a NUL.  Raises ProtocolError if it is not."""
    if len(cookie) != COOKIE_BYTES or cookie[-1] or not all(33 <= byte < 127 for byte in cookie[:-1]):
        raise ProtocolError("began with data that is not a cookie of iperf3")
    return cookie


def state_of(byte: bytes) -> State:
    """The state that `byte` encodes.  Raises ProtocolError if there is none."""
    number = int.from_bytes(byte, "big", signed=True)
    try:
        return State(number)
    except ValueError:
        raise ProtocolError(f"sent the unknown state {number}") from None


def state_byte(state: State) -> bytes:
    """The byte that encodes `state`; the inverse of :func:`state_of`."""
    return int(state).to_bytes(1, "big", signed=True)


def stream_ids(count: int) -> tuple[int, ...]:
    """The ids of `count` streams at both ends, in order of creation: 1, 3, 4, 5, …"""
    return tuple(1 if index == 0 else index + 2 for index in range(count))


def block(value: object) -> bytes:
    """`value` as a block: its length, then JSON."""
    body = json.dumps(value, separators=(",", ":")).encode()
    return LENGTH.pack(len(body)) + body


def block_length(header: bytes, limit: int) -> int:
    """The number of bytes in a block, from its `header`.  Raises ProtocolError if it exceeds `limit`."""
    (size,) = LENGTH.unpack(header)
    if size > limit:
        raise ProtocolError(f"announced a block of {size} bytes; the limit is {limit}")
    return int(size)


def parse_block(body: bytes) -> dict[str, Any]:
    """The JSON object in a block.  Raises ProtocolError if `body` is not a JSON object."""
    try:
        value = json.loads(body.rstrip(b"\0"), parse_constant=_no_constant)
    except RecursionError:
        raise ProtocolError("sent a block that is not JSON: it is nested too deeply") from None
    except ValueError as error:  # also UnicodeDecodeError, and numbers of thousands of digits
        raise ProtocolError(f"sent a block that is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ProtocolError("sent a block that is not a JSON object")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")
