"""`--connect-to` and `-L`: where requests go."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.cli.http_options import route_fields
from coordinator.kinds.http.kind import HttpKind
from deploy.redirects import Ask, follow, followed
from loadgen.model.connect_to import ConnectTo
from loadgen.model.errors import PlanError, TargetError
from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_request import HttpRequest
from loadgen.model.target import Target
from loadgen.model.tls import TLS_DEFAULTS
from tests.support import scripted
from tests.support.scripted import ScriptedServer, Writer
from workloads.http.compile import compile_http


def plan_of(*urls: str, **options: Any) -> HttpPlan:
    return HttpPlan(requests=tuple(HttpRequest(url=url) for url in urls or ("http://a/",)), **options)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("a:80:127.0.0.1:8080", "127.0.0.1", 8080),
        ("A:80::8080", "a", 8080),
        ("::b:", "b", 80),
        (":80:[::1]:81", "::1", 81),
        ("a::b:81", "b", 81),
        ("b:80:c:1", "a", 80),
        ("a:81:c:1", "a", 80),
    ],
)
def test_rules_name_what_connections_go_to(text: str, host: str, port: int) -> None:
    target = Target(name="t", host="a", port=80)
    rule = ConnectTo.parse(text)
    found = rule.dialed(target) if rule.fits(target) else target
    assert (found.host, found.port, found.name) == (host, port, "t")


@pytest.mark.parametrize(
    "text", ["", "a", "a:80", "a:80:b", "a:80::", "a:x:b:80", "a:80:b:99999", "a:80:b/c:80", "a:b:c:d:e"]
)
def test_other_texts_are_refused_in_one_line(text: str) -> None:
    with pytest.raises(PlanError) as caught:
        ConnectTo.parse(text)
    assert "\n" not in caught.value.message


@given(st.text(":[]ab1. ", max_size=20))
def test_any_text_is_a_rule_or_a_plan_error(text: str) -> None:
    try:
        rule = ConnectTo.parse(text)
    except PlanError:
        return
    assert rule.to_host or rule.to_port


def test_the_first_rule_that_fits_counts_and_names_stay() -> None:
    plan = plan_of("http://a/", "http://b:81/", connect_to=("a:80:127.0.0.1:8080", ":::9"))
    assert [(one.name, one.host, one.port) for one in plan.dialed] == [("a:80", "127.0.0.1", 8080), ("b:81", "b", 9)]
    assert HttpKind().load(plan, 0, 1).dial == (("127.0.0.1", 8080), ("b", 9))
    assert HttpKind().hosts(plan, plan.targets) == ["127.0.0.1", "b"]
    assert [target.host for target in plan.targets] == ["a", "b"]
    assert HttpPlan.from_dict(plan.to_dict()) == plan


def test_a_rule_that_fits_no_url_is_refused() -> None:
    with pytest.raises(PlanError, match="no URL"):
        plan_of(connect_to=("b:80:c:80",))


def answers(**replies: tuple[int, str]) -> Ask:
    """Servers that answer /PATH with a status and a Location; 200 for any other path."""

    def ask(request: HttpRequest) -> tuple[int, str]:
        return replies.get(request.url.rpartition("/")[2], (200, ""))

    return ask


def test_each_hop_becomes_a_request_with_its_status() -> None:
    request = HttpRequest(url="http://a/x", expect="200", weight=3, headers=("Accept: text/html", "Authorization: s"))
    plan = HttpPlan(requests=(request, HttpRequest(url="http://a/")), follow=5)
    found, told = follow(plan, answers(x=(302, "/y#z"), y=(301, "https://b/end")))
    assert [(one.url, one.status, one.expect, one.weight) for one in found.requests] == [
        ("http://a/x", 302, "", 3),
        ("http://a/y", 301, "", 3),
        ("https://b/end", 0, "200", 3),
        ("http://a/", 0, "", 1),
    ]
    assert found.requests[1].headers == request.headers
    assert found.requests[2].headers == ("Accept: text/html",)  # secrets stay with their server
    assert found.follow == 0
    assert len(told) == 2
    assert all("counted as two requests" in line for line in told)


@pytest.mark.parametrize(
    ("method", "status", "after"),
    [("POST", 301, "GET"), ("POST", 302, "GET"), ("POST", 303, "GET"), ("POST", 307, "POST"), ("PUT", 302, "PUT"),
     ("PUT", 303, "GET"), ("HEAD", 303, "HEAD"), ("POST", 308, "POST")],
)  # fmt: skip
def test_methods_change_as_in_browsers(method: str, status: int, after: str) -> None:
    body = "" if method == "HEAD" else "x"
    request = HttpRequest(url="http://a/x", method=method, body=body, headers=("Content-Type: text/plain",))
    found, _ = follow(HttpPlan(requests=(request,), follow=1), answers(x=(status, "y")))
    last = found.requests[-1]
    assert (last.method, last.body) == (after, body if after == method else "")
    assert bool(last.headers) == (after == method)


@pytest.mark.parametrize(
    ("replies", "word"),
    [
        ({"x": (302, "x")}, "more than 5 redirects"),
        ({"x": (302, "ftp://a/")}, "cannot be requested"),
        ({"x": (302, "http://a:99999/")}, "cannot be requested"),
    ],
)
def test_chains_that_cannot_be_played_are_told_in_one_line(replies: dict[str, tuple[int, str]], word: str) -> None:
    with pytest.raises(TargetError, match=word) as caught:
        follow(plan_of("http://a/x", follow=5), answers(**replies))
    assert "\n" not in caught.value.message


def test_redirects_without_a_place_and_other_statuses_are_final() -> None:
    plan = plan_of("http://a/x", "http://a/y", "http://a/z", follow=5)
    found, told = follow(plan, answers(x=(302, ""), y=(304, "/k"), z=(404, "/k")))
    assert found.requests == plan.requests
    assert told == ()


def test_a_real_server_is_asked() -> None:
    async def moves(path: str, size: int, writer: Writer) -> bool:
        away = "Location: http://other.example/new\r\n" if path == "/old" else ""
        writer.write(scripted.head(2, status="302 Found" if away else "200 OK", extra=away) + b"ok")
        return True

    async def scenario() -> tuple[HttpPlan, list[str]]:
        async with ScriptedServer(moves) as server:
            plan = plan_of("http://shop.example/old", follow=3, connect_to=(f"::127.0.0.1:{server.port}",))
            found, _ = await asyncio.to_thread(followed, plan, TLS_DEFAULTS)
            return found, sorted(server.hosts)

    found, hosts = asyncio.run(scenario())
    assert [one.url for one in found.requests] == ["http://shop.example/old", "http://other.example/new"]
    assert hosts == ["other.example", "shop.example"]


def test_a_server_that_does_not_answer_is_named() -> None:
    with pytest.raises(TargetError, match="cannot be followed"):
        followed(plan_of("http://127.0.0.1:1/x", follow=3), TLS_DEFAULTS)


def test_the_limit_of_redirects_needs_the_option_that_follows_them() -> None:
    nothing = {"connect_to": (), "location": False, "max_redirects": None, "proxy": None}
    assert route_fields(nothing) == {"connect_to": None, "follow": None, "proxy": None}
    assert route_fields({**nothing, "location": True})["follow"] == 10
    with pytest.raises(PlanError, match="-L"):
        route_fields({**nothing, "max_redirects": 3})


@pytest.mark.parametrize("status", [302, 307])
def test_a_body_in_base64_is_sent_and_dropped_as_a_text_is(status: int) -> None:
    asked: list[HttpRequest] = []

    def ask(request: HttpRequest) -> tuple[int, str]:
        asked.append(request)
        return (status, "/there") if len(asked) == 1 else (200, "")

    request = HttpRequest(url="http://a/", method="POST", body_base64="/w==")
    found, _ = follow(HttpPlan(requests=(request,), follow=3), ask)
    assert [one.content for one in found.requests] == [b"\xff", b"" if status == 302 else b"\xff"]


def test_user_names_in_urls_are_sent_when_redirects_are_looked_up() -> None:
    heads: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n") + await reader.readexactly(1))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async def scenario() -> None:
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            url = f"http://ann:word@127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            request = HttpRequest(url=url, method="POST", body_base64="/w==")
            await asyncio.to_thread(followed, HttpPlan(requests=(request,), follow=3), TLS_DEFAULTS)

    asyncio.run(scenario())
    (head,) = heads
    assert b"\r\nAuthorization: Basic YW5uOndvcmQ=\r\n" in head
    assert b"\r\nContent-Length: 1\r\n" in head
    assert head.endswith(b"\r\n\r\n\xff")


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("http://a/x?y", b"GET http://a/x?y HTTP/1.1\r\n"),
        ("http://a:81", b"GET http://a:81/ HTTP/1.1\r\n"),
        ("http://[::1]:81/", b"GET http://[::1]:81/ HTTP/1.1\r\n"),
    ],
)
def test_a_proxy_gets_the_whole_url(url: str, line: bytes) -> None:
    plan = plan_of(url, proxy="http://proxy.example:3128")
    tape = compile_http(plan)
    assert tape.strings[int(tape.ops["line"][0])] == line
    assert HttpKind().load(plan, 0, 1).dial == (("proxy.example", 3128),)
    assert HttpKind().hosts(plan, plan.targets) == ["proxy.example"]
    assert HttpPlan.from_dict(plan.to_dict()) == plan


@pytest.mark.parametrize(
    ("url", "options", "word"),
    [
        ("http://a/", {"proxy": "https://p:1"}, "not a proxy"),
        ("http://a/", {"proxy": "p:0"}, "port must be"),
        ("http://a/", {"proxy": "http://p:x"}, "not a port"),
        ("http://a/", {"proxy": "http://[::1"}, "brackets"),
        ("http://a/", {"proxy": "socks5://p:1"}, "socks5 is not supported"),
        ("http://a/", {"proxy": "http://a%3Ab:s3cret@p:1"}, "colon"),
        ("http://a/", {"proxy": "ann:s3cret@p:1"}, "begin with http"),
        ("http://a/", {"proxy": "http://p:1/x"}, "not a proxy"),
        ("https://a/", {"proxy": "http://p:1", "http2": True}, "--http2"),
        ("http://a/", {"proxy": "http://p:1", "connect_to": ("::b:1",)}, "--connect-to"),
    ],
)
def test_senseless_proxies_are_refused_in_one_line(url: str, options: dict[str, Any], word: str) -> None:
    with pytest.raises(PlanError, match=word) as caught:
        plan_of(url, **options)
    assert "\n" not in caught.value.message


def test_a_message_on_a_proxy_shows_no_password() -> None:
    with pytest.raises(PlanError) as caught:
        plan_of(proxy="https://ann:s3cret@p:1")
    assert "s3cret" not in caught.value.message + caught.value.hint


def test_a_password_for_the_proxy_never_goes_to_a_server() -> None:
    proxy = "http://ann:p%20w@proxy.example:3128"
    tape = compile_http(plan_of("http://a/", "https://b/", proxy=proxy))
    lines = {tape.strings[int(op["line"])]: tape.strings[int(op["rest"])] for op in tape.ops}
    assert b"\r\nProxy-Authorization: Basic YW5uOnAgdw==\r\n" in lines[b"GET http://a/ HTTP/1.1\r\n"]
    assert b"Proxy" not in lines[b"GET / HTTP/1.1\r\n"]
    own = HttpRequest(url="https://b/", headers=("proxy-authorization: Basic x",))
    with pytest.raises(PlanError, match="not to the proxy"):
        HttpPlan(requests=(own,), proxy="http://p:1")
    mine = HttpRequest(url="http://a/", headers=("proxy-authorization: Basic x",))
    (op,) = (sent := compile_http(HttpPlan(requests=(mine,), proxy=proxy))).ops
    assert b"YW5u" not in sent.strings[int(op["rest"])]
