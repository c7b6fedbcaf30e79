"""The contract of every engine for what a request may be: HEAD, a Host of its own, expected statuses, no keep-alive."""

from __future__ import annotations

from typing import Any

import pytest

from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_request import HttpRequest
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_S
from tests.contract.test_engine_contract import run
from tests.support import scripted
from tests.support.engines import ENGINES, MakeEngine, Played, play
from tests.support.scripted import Behaviour, ScriptedServer, Writer
from workloads.http.compile import compile_http


@pytest.fixture(params=sorted(ENGINES))
def engine(request: pytest.FixtureRequest) -> MakeEngine:
    return ENGINES[request.param]


def played(
    make: MakeEngine, behaviour: Behaviour, *requests: dict[str, Any], count: int = 40, **options: Any
) -> tuple[Played, ScriptedServer]:
    """Play `requests`, whose `url` is a path here, `count` times in all over two connections."""

    async def scenario() -> tuple[Played, ScriptedServer]:
        async with ScriptedServer(behaviour) as server:
            made = [{**one, "url": f"http://127.0.0.1:{server.port}{one['url']}"} for one in requests]
            plan = HttpPlan(requests=tuple(HttpRequest(**one) for one in made), connections=2, **options)
            return await play(make, compile_http(plan), [server.port], requests=count, length_ns=20 * NS_PER_S), server

    return run(scenario)


async def without_body(path: str, size: int, writer: Writer) -> bool:
    """The reply to HEAD: the head of a reply with a body.  Other requests get the body, too, below the same head."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 700\r\n\r\n"
    if "chunked" in path:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    if "endless" in path:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
    writer.write(head if "/head" in path else head + bytes(700))
    return True


@pytest.mark.parametrize("path", ["/head", "/head/chunked", "/head/endless"])
def test_the_reply_to_head_ends_with_its_head(engine: MakeEngine, path: str) -> None:
    result, server = played(engine, without_body, {"url": path, "method": "HEAD"})
    assert result.outcomes() == {Outcome.OK: 40}
    assert server.connections == 2


def test_equal_heads_of_head_and_get_are_told_apart(engine: MakeEngine) -> None:
    result, server = played(engine, without_body, {"url": "/head", "method": "HEAD"}, {"url": "/get"}, {"url": "/also"})
    assert result.outcomes() == {Outcome.OK: 40}
    assert server.connections == 2
    bodies = sum("/head" not in path for path in server.requests)
    assert result.cell().bytes == 40 * 40 + 700 * bodies


def test_a_body_after_the_head_belongs_to_no_request(engine: MakeEngine) -> None:
    async def whole(path: str, size: int, writer: Writer) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nextra")
        return True

    result, server = played(engine, whole, {"url": "/x", "method": "HEAD"}, count=10)
    assert result.outcomes() == {Outcome.OK: 10}
    assert server.connections == 10


def test_a_host_of_its_own_replaces_ours(engine: MakeEngine) -> None:
    own = {"url": "/own", "headers": ("Host: shop.example",)}
    result, server = played(engine, scripted.good, own, {"url": "/ours"})
    assert result.outcomes() == {Outcome.OK: 40}
    assert server.hosts == {"shop.example": 20, f"127.0.0.1:{server.port}": 20}


async def by_path(path: str, size: int, writer: Writer) -> bool:
    writer.write(scripted.head(0, status=f"{path[1:4]} X"))
    return True


@pytest.mark.parametrize(
    ("expect", "right"),
    [
        ("", {200, 204, 304}),
        ("200", {200}),
        ("204,3xx,404", {204, 304, 404}),
        ("400-499,503", {404, 499, 503}),
        ("5xx", {503}),
    ],
)
def test_expected_statuses_are_a_set(engine: MakeEngine, expect: str, right: set[int]) -> None:
    statuses = (200, 204, 304, 404, 499, 503, 700)
    for status in statuses:
        result, _ = played(engine, by_path, {"url": f"/{status}", "expect": expect}, count=4)
        assert result.outcomes() == {Outcome.OK if status in right else Outcome.BAD_STATUS: 4}, status


def test_a_proxy_gets_requests_for_other_servers(engine: MakeEngine) -> None:
    async def scenario() -> tuple[Played, ScriptedServer]:
        async with ScriptedServer(scripted.good) as server:
            proxy = f"http://127.0.0.1:{server.port}"
            plan = HttpPlan(requests=(HttpRequest(url="http://shop.example/x"),), connections=2, proxy=proxy)
            targets, dial = plan.targets, ((one.host, one.port) for one in plan.dialed)
            played = await play(
                engine,
                compile_http(plan),
                [server.port],
                targets=targets,
                dial=tuple(dial),
                requests=10,
                length_ns=20 * NS_PER_S,
            )
            return played, server

    result, server = run(scenario)
    assert result.outcomes() == {Outcome.OK: 10}
    assert set(server.requests) == {"/x"}  # without the server, which the other test checks
    assert set(server.hosts) == {"shop.example"}


def test_without_keepalive_each_request_has_its_connection(engine: MakeEngine) -> None:
    result, server = played(engine, scripted.good, {"url": "/x"}, count=10, keepalive=False)
    assert result.outcomes() == {Outcome.OK: 10}
    assert server.connections == 10
