from __future__ import annotations

import tomllib
from typing import Any

import numpy as np
import pytest
import tomli_w

from loadgen.model.errors import PlanError
from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_request import HttpRequest
from loadgen.model.sending import EngineKind, Timestamps
from loadgen.schedule.optape import CLOSE_AFTER, KEEP_ALIVE
from workloads.http.compile import MAX_KINDS, compile_http
from workloads.http.requests import parse_requests


def plan_of(*urls: str, **options: Any) -> HttpPlan:
    return HttpPlan(requests=tuple(HttpRequest(url=url) for url in urls), **options)


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "G ET"},
        {"headers": ("no colon",)},
        {"headers": ("Content-Length: 5",)},
        {"headers": ("X: a\r\nY: b",)},
        {"status": 101},
        {"weight": 0},
    ],
)
def test_invalid_requests_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(PlanError):
        HttpRequest(url="http://a/", **wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"connections": 1},  # the plan has two targets
        {"engines": 3, "connections": 2},
        {"engines": 2, "connections": 3, "rate_per_s": 10.0},  # one target has a single connection for two engines
        {"rate_per_s": -1.0},
        {"rate_per_s": float("inf")},
        {"poisson": True},
        {"duration_ns": 1},
        {"timeout_ns": 0},
        {"sources": ("tea",)},
        {"engine": EngineKind.PYTHON, "timestamps": Timestamps.KERNEL},
    ],
)
def test_invalid_plans_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(PlanError):
        plan_of("http://a/", "http://b/", **wrong)


def test_a_plan_reads_back_from_toml() -> None:
    plan = plan_of("http://a/", "https://a/", connections=10, rate_per_s=5.5, poisson=True, slos=("p99<5ms",))
    assert HttpPlan.from_dict(tomllib.loads(tomli_w.dumps(plan.to_dict()))) == plan


def test_urls_of_one_server_are_one_target_with_their_weights() -> None:
    requests = (
        HttpRequest(url="http://a/1"),
        HttpRequest(url="http://b:81/", weight=2),
        HttpRequest(url="http://a:80/2", weight=3),
        HttpRequest(url="https://a:80/"),
    )
    plan = HttpPlan(requests=requests, connections=70)
    assert [(one.name, one.weight, one.tls) for one in plan.targets] == [
        ("a:80", 4, False),
        ("b:81", 2, False),
        ("https://a:80", 1, True),
    ]
    assert plan.shares == [40, 20, 10]


def test_the_tape_spreads_requests_evenly_by_weight() -> None:
    requests = (HttpRequest(url="http://a/1", weight=6), HttpRequest(url="http://a/2", weight=2))
    tape = compile_http(HttpPlan(requests=requests, connections=4))
    assert tape.ops["kind"].tolist() in ([0, 0, 1, 0], [0, 1, 0, 0])
    assert tape.kind_shares == (0.75, 0.25)
    assert sorted(tape.starts["row"][0].tolist()) == [0, 1, 2, 3]


def test_each_target_has_a_ring_of_its_own() -> None:
    tape = compile_http(plan_of("http://a/1", "http://b/1", "http://a/2", connections=6))
    for row in range(len(tape.ops)):
        seen, at = [], row
        for _ in range(len(tape.ops)):
            seen.append(at)
            at = int(tape.ops["next"][at])
        assert {int(tape.ops["target"][one]) for one in seen} == {int(tape.ops["target"][row])}
        assert set(seen) == set(np.flatnonzero(tape.ops["target"] == tape.ops["target"][row]).tolist())
    assert [int(tape.ops["target"][row]) for row in tape.starts["row"][0]] == [0, 0, 0, 0, 1, 1]


def text_of(request: HttpRequest) -> tuple[bytes, bytes, int]:
    tape = compile_http(HttpPlan(requests=(request,)))
    op = tape.ops[0]
    return tape.strings[op["line"]], tape.strings[op["rest"]], int(op["flags"])


def test_a_request_is_encoded_as_sent() -> None:
    line, rest, flags = text_of(HttpRequest(url="http://a/b?c", headers=("Accept: text/html", "X-A:  b ")))
    assert line == b"GET /b?c HTTP/1.1\r\n"
    assert rest == b"User-Agent: loadgen\r\nAccept: text/html\r\nX-A: b\r\n\r\n"
    assert flags == KEEP_ALIVE
    _, rest, flags = text_of(HttpRequest(url="http://a/", method="POST", body="tée", headers=("Connection: close",)))
    assert rest.endswith(b"Connection: close\r\nContent-Length: 4\r\n\r\nt\xc3\xa9e")
    assert flags == CLOSE_AFTER
    assert b"Content-Length: 0\r\n" in text_of(HttpRequest(url="http://a/", method="PUT"))[1]


def test_with_many_requests_only_the_total_is_counted() -> None:
    many = compile_http(plan_of(*(f"http://a/{n}" for n in range(MAX_KINDS + 1))))
    assert many.kinds == ("all requests",)
    assert set(many.ops["kind"].tolist()) == {0}
    few = compile_http(plan_of(*(f"http://a/{n}" for n in range(MAX_KINDS))))
    assert len(few.kinds) == MAX_KINDS


def test_a_file_of_requests_is_read() -> None:
    found = parse_requests(
        """
        [[request]]
        url = "http://a/"
        [[request]]
        method = "POST"
        url = "http://a/b"
        headers = { Accept = "*/*", X-Id = "1" }
        body = "x"
        status = 201
        weight = 3
        """
    )
    assert found == (
        HttpRequest(url="http://a/"),
        HttpRequest(
            method="POST", url="http://a/b", headers=("Accept: */*", "X-Id: 1"), body="x", status=201, weight=3
        ),
    )


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "no request"),
        ("x", "not TOML"),
        ("a = 1", "unknown key 'a'"),
        ("request = 1", "no request"),
        ("[[request]]", "request 1: url is missing"),
        ("[[request]]\nurl='http://a/'\n[[request]]\nurl='b c'", "request 2: 'b c' is not a URL"),
        ("[[request]]\nurl='http://a/'\nweight='1'", "request 1: weight must be a whole number"),
        ("[[request]]\nurl='http://a/'\nheaders=1", "request 1: headers must be a list"),
    ],
)
def test_errors_in_a_file_of_requests_have_their_place(text: str, word: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse_requests(text)
    assert word in caught.value.message
