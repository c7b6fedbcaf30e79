"""Quake III's out-of-band protocol: datagrams as ioquake3 sends them, and its limits of the rate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.quiet.responder import Responder
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.probe.quake3 import (
    ADDRESS_PERIOD_NS,
    ALL_PERIOD_NS,
    BURST,
    INFO,
    STATUS,
    Bucket,
    answer,
    interval_ns,
    parse_answer,
    parse_query,
    query,
)

INFO_REPLY = (
    b"\xff\xff\xff\xffinfoResponse\n"
    rb"\challenge\5f2a1\protocol\71\hostname\noname\mapname\oa_dm1\clients\0\sv_maxclients\8\gametype\0\pure\0"
)
STATUS_REPLY = (
    b"\xff\xff\xff\xffstatusResponse\n"
    rb"\version\ioq3 1.36/Debian linux-x86_64\sv_maxclients\8\challenge\5f2a2"
    b'\n0 25 "UnnamedPlayer"\n'
)


def test_queries_are_as_the_game_client_sends_them() -> None:
    assert query(INFO, "5f2a1") == b"\xff\xff\xff\xffgetinfo 5f2a1"
    assert query(STATUS, "x") == b"\xff\xff\xff\xffgetstatus x"


def test_answers_of_a_real_server_are_read() -> None:
    info, status = parse_answer(INFO_REPLY), parse_answer(STATUS_REPLY)
    assert info is not None
    assert (info.kind, info.challenge, info.about["mapname"]) == (INFO, "5f2a1", "oa_dm1")
    assert status is not None
    assert (status.kind, status.challenge) == (STATUS, "5f2a2")
    assert status.about["version"] == "ioq3 1.36/Debian linux-x86_64"


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\xff\xff\xff",
        INFO_REPLY[1:],  # the head is not whole
        b"\xff\xff\xff\xffprint\nbad rconpassword",
        b"\xff\xff\xff\xffinfoResponsex\n\\challenge\\1",
        query(INFO, "1"),
    ],
)
def test_anything_else_is_no_answer(datagram: bytes) -> None:
    assert parse_answer(datagram) is None


@pytest.mark.parametrize("rest", [b"", b"\n", b"\n\\", b"\n\\challenge", b"\nchallenge\\", b"\n\xff\x00\\\\\\"])
def test_an_answer_without_a_challenge_has_none(rest: bytes) -> None:
    found = parse_answer(b"\xff\xff\xff\xffinfoResponse" + rest)
    assert found is not None
    assert found.challenge == ""


@given(st.binary(max_size=80))
def test_no_datagram_is_an_error(datagram: bytes) -> None:
    parse_answer(datagram)
    parse_query(datagram)
    parse_answer(b"\xff\xff\xff\xffstatusResponse\n" + datagram)


@pytest.mark.parametrize("kind", [INFO, STATUS])
def test_what_is_written_is_read(kind: str) -> None:
    assert parse_query(query(kind, "7c")) == (kind, "7c")
    found = parse_answer(answer(kind, {"hostname": "quiet", "challenge": "7c"}))
    assert found is not None
    assert (found.kind, found.challenge, found.about["hostname"]) == (kind, "7c", "quiet")


def test_a_server_answers_ten_queries_at_once_and_then_one_in_each_period() -> None:
    bucket = Bucket(BURST, ADDRESS_PERIOD_NS)
    now_ns = 5 * NS_PER_S
    assert [bucket.refuses(now_ns) for _ in range(12)] == [False] * 10 + [True] * 2
    assert bucket.refuses(now_ns + 999 * NS_PER_MS)
    assert not bucket.refuses(now_ns + 1000 * NS_PER_MS)
    assert bucket.refuses(now_ns + 1001 * NS_PER_MS)
    assert not bucket.refuses(now_ns + 60 * NS_PER_S)


@pytest.mark.parametrize("addresses", [1, 2, 5, 9, 10, 30])
def test_a_prober_stays_below_the_limits_even_without_their_bursts(addresses: int) -> None:
    each = [Bucket(1, ADDRESS_PERIOD_NS) for _ in range(addresses)]
    together = Bucket(1, ALL_PERIOD_NS)
    for turn in range(3000):
        now_ns = 77 * NS_PER_S + turn * interval_ns(addresses)
        assert not each[turn % addresses].refuses(now_ns)
        assert not together.refuses(now_ns)


def test_ten_addresses_reach_nine_queries_a_second() -> None:
    assert NS_PER_S // interval_ns(10) == 9
    assert interval_ns(1) > ADDRESS_PERIOD_NS


def test_the_responder_limits_each_address_and_all_together() -> None:
    responder = Responder()
    now_ns = 3 * NS_PER_S
    said = [responder.answer(query(INFO, f"{turn}"), "10.0.0.1", now_ns) for turn in range(11)]
    assert [one is None for one in said] == [False] * 10 + [True]
    assert responder.answer(query(INFO, "a"), "10.0.0.2", now_ns) is None  # all together
    assert responder.answer(query(STATUS, "b"), "10.0.0.2", now_ns + ALL_PERIOD_NS) is not None
    assert responder.answer(b"\xff\xff\xff\xffrcon x", "10.0.0.3", now_ns + NS_PER_S) is None
