"""The prober of `loadgen isolate`: which reply answers which request, and what is lost."""

from __future__ import annotations

import socket
import struct

import pytest

from loadgen.model.units import NS_PER_S
from loadgen.probe.pinger import (
    Pings,
    Waiting,
    challenge_of,
    echo_number,
    echo_request,
    game_number,
    stamp_in,
)
from loadgen.probe.quake3 import INFO, STATUS, answer

SECRET = 0xC0FFEE


def test_a_plan_reads_back() -> None:
    plan = Pings(echo=("10.0.0.2", 7), game=("10.0.0.2", 27960), time_ns=5 * NS_PER_S, sources=("10.0.0.9",))
    assert Pings.decode(plan.encode()) == plan


def test_only_replies_to_own_requests_count() -> None:
    assert echo_number(SECRET, echo_request(SECRET, 7)) == 7
    assert echo_number(SECRET, echo_request(SECRET + 1, 7)) is None
    assert echo_number(SECRET, echo_request(SECRET, 7) + b"x") is None


@pytest.mark.parametrize(
    ("kind", "challenge", "number"),
    [
        (INFO, challenge_of(SECRET, 12), 12),
        (STATUS, challenge_of(SECRET, 12), None),  # the answer to another kind of query
        (INFO, challenge_of(SECRET + 1, 12), None),
        (INFO, f"{SECRET:016x}", None),
        (INFO, f"{SECRET:016x}x", None),
        (INFO, "12", None),
        (INFO, "", None),
    ],
)
def test_the_challenge_must_match(kind: str, challenge: str, number: int | None) -> None:
    assert game_number(SECRET, INFO, answer(kind, {"challenge": challenge})) == number


def test_what_is_not_answered_in_time_is_lost() -> None:
    waiting = Waiting(NS_PER_S)
    first, second, third, fourth = (waiting.sent(due_ns, due_ns + 30) for due_ns in (1000, 2000, 3000, 4000))
    waiting.arrived(third, 3030 + 500)
    waiting.arrived(third, 3030 + 900)  # a second reply
    waiting.arrived(first, 1030 + NS_PER_S)
    waiting.arrived(second, 2030 + NS_PER_S + 1)  # too late
    waiting.arrived(99, 5000)
    assert waiting.answered_ns == [500, NS_PER_S]
    assert waiting.lost == 2
    assert waiting.late_ns == [30] * 4
    waiting.arrived(fourth, 4029)  # the clock was set back a little
    assert waiting.answered_ns[-1] == 0


def test_the_kernels_stamp_is_read() -> None:
    now_ns = 1_700_000_000 * NS_PER_S
    stamp = struct.pack("@qq", 1_700_000_000 - 1, 999_999_000)
    assert stamp_in([(socket.SOL_SOCKET, 35, stamp)], now_ns) == now_ns - 1000
    assert stamp_in([(socket.SOL_SOCKET, 35, stamp)], now_ns + 2 * NS_PER_S) is None  # the clock was set
    assert stamp_in([(socket.SOL_SOCKET, 35, stamp)], now_ns - NS_PER_S) is None  # it is in the future
    assert stamp_in([(socket.SOL_SOCKET, 29, stamp), (socket.IPPROTO_IP, 35, stamp)], now_ns) is None
    assert stamp_in([], now_ns) is None
