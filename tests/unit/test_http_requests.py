"""What a request of `loadgen http` may be, as plans check and compile it."""

from __future__ import annotations

from typing import Any

import pytest

from loadgen.model.errors import PlanError
from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_request import HttpRequest
from loadgen.model.statuses import parse_statuses
from loadgen.schedule.optape import CLOSE_AFTER, NO_BODY, OWN_HOST, status_sets, statuses_of
from workloads.http.compile import compile_http
from workloads.http.workload import Http


def request(**fields: Any) -> HttpRequest:
    return HttpRequest(**{"url": "http://h/", **fields})


def sent(one: HttpRequest, **options: Any) -> tuple[bytes, bytes, int]:
    """The request's line and rest, and the flags of its row."""
    tape = compile_http(HttpPlan(requests=(one,), **options))
    row = tape.ops[0]
    return tape.strings[int(row["line"])], tape.strings[int(row["rest"])], int(row["flags"])


@pytest.mark.parametrize(
    ("text", "statuses"),
    [
        ("200", {200}),
        ("200,204", {200, 204}),
        (" 200 , 404 ", {200, 404}),
        ("3xx", set(range(300, 400))),
        ("5XX,200-202", {200, 201, 202, *range(500, 600)}),
        ("599", {599}),
    ],
)
def test_statuses_are_read(text: str, statuses: set[int]) -> None:
    assert parse_statuses(text) == statuses


@pytest.mark.parametrize("text", ["", "ok", "200,", "1xx", "100", "600", "20", "204-200", "2x", "200-", "-1", "２００"])
def test_other_texts_are_refused_in_one_line(text: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse_statuses(text)
    assert "\n" not in caught.value.message


def test_sets_of_statuses_read_back_from_the_tape() -> None:
    sets = [frozenset({200, 204, 639}), frozenset({0}), frozenset[int]()]
    assert statuses_of(status_sets(sets)) == sets
    assert statuses_of(status_sets([])) == []


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"expect": "banana"}, "banana"),
        ({"expect": "200", "status": 204}, "both given"),
        ({"method": "HEAD", "body": "x"}, "HEAD"),
        ({"method": "CONNECT"}, "CONNECT"),
        ({"headers": ("Host: a", "host: b")}, "twice"),
        ({"headers": ("Content-Length: 3",)}, "Content-Length"),
    ],
)
def test_senseless_requests_are_refused_in_one_line(wrong: dict[str, Any], word: str) -> None:
    with pytest.raises(PlanError, match=word) as caught:
        request(**wrong)
    assert "\n" not in caught.value.message


def test_a_host_line_follows_the_request_line_once() -> None:
    line, rest, flags = sent(request(headers=("X-A: b", "Host:  shop.example ")))
    assert line == b"GET / HTTP/1.1\r\nHost: shop.example\r\n"
    assert flags & OWN_HOST
    assert b"host" not in rest.lower()
    assert not sent(request())[2] & OWN_HOST


def test_head_has_no_body_and_no_length() -> None:
    _, rest, flags = sent(request(method="HEAD"))
    assert flags & NO_BODY
    assert b"Content-Length" not in rest


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ("Connection: close",),
        ("connection: Close, TE",),
        ("Connection: TE", "Connection: close"),
        ("Connection:close",),
    ],
)
def test_without_keepalive_requests_ask_to_close(headers: tuple[str, ...]) -> None:
    _, rest, flags = sent(request(headers=headers), keepalive=False)
    assert flags & CLOSE_AFTER
    assert rest.lower().count(b"connection:") == max(1, len(headers))
    assert not sent(request())[2] & CLOSE_AFTER


@pytest.mark.parametrize(
    ("headers", "closes"),
    [
        (("Connection: keep-alive, X-Close-Hint",), False),
        (("Connection: closed",), False),
        (("X-Connection: close",), False),
        (("Connection: keep-alive, close",), True),
        (("Connection: TE", "CONNECTION: Close"), True),
    ],
)
def test_a_request_asks_to_close_by_a_whole_word_of_all_lines(headers: tuple[str, ...], closes: bool) -> None:
    assert bool(sent(request(headers=headers))[2] & CLOSE_AFTER) is closes


@pytest.mark.parametrize(
    "headers", [("Connection: keep-alive",), ("Connection: X-Close-Hint",), ("connection: TE", "X: close")]
)
def test_a_header_that_keeps_connections_contradicts_no_keepalive(headers: tuple[str, ...]) -> None:
    with pytest.raises(PlanError, match="contradicts"):
        HttpPlan(requests=(request(headers=headers),), keepalive=False)


def test_connects_without_keepalive_are_those_of_the_rate() -> None:
    plan = HttpPlan(requests=(request(),), rate_per_s=500.0, keepalive=False)
    assert Http().connects_per_s(plan) == 500
    assert Http().connects_per_s(HttpPlan(requests=(request(),), rate_per_s=500.0)) == 0


def test_new_fields_are_written_only_when_they_are_set() -> None:
    plain = HttpPlan(requests=(request(),)).to_dict()
    assert "keepalive" not in plain
    assert "expect" not in plain["requests"][0]
    plan = HttpPlan(requests=(request(expect="2xx"),), keepalive=False)
    assert HttpPlan.from_dict(plan.to_dict()) == plan
