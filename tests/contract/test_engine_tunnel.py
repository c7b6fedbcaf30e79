"""https URLs through an HTTP proxy: the Python engine, the check before a run, and the redirects before it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from coordinator.run.tls_files import tls_settings
from deploy.redirects import followed
from deploy.vms.reach import reach
from loadgen.engine.tunnel import CLOSED, SILENT, TunnelAnswer
from loadgen.model.errors import TargetError
from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_request import HttpRequest
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_MS, NS_PER_S
from tests.contract.test_engine_contract import run
from tests.support import scripted
from tests.support.connect_proxy import OPENED, ConnectProxy
from tests.support.engines import Played, play, python_engine
from tests.support.scripted import ScriptedServer, Writer
from tests.support.tls_files import TlsFiles, make_tls_files
from workloads.http.compile import compile_http


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    """Files of a server whose name no resolver knows."""
    return make_tls_files(tmp_path_factory.mktemp("shop"), name="shop.example")


def plan_of(shop: TlsFiles, proxy: str, *urls: str, keepalive: bool = True, resume: bool = False) -> HttpPlan:
    urls = urls or ("https://shop.example/x?size=100",)
    return HttpPlan(
        requests=tuple(HttpRequest(url=url) for url in urls),
        connections=2 * len(urls),
        proxy=proxy,
        tls_ca=str(shop.authority),
        keepalive=keepalive,
        tls_resume=resume,
    )


async def played(plan: HttpPlan, *, count: int = 6, timeout_ns: int = 10 * NS_PER_S) -> Played:
    return await play(
        python_engine,
        compile_http(plan),
        [0] * len(plan.targets),
        shares=plan.shares,
        targets=plan.targets,
        dial=tuple((one.host, one.port) for one in plan.dialed),
        tls=tls_settings(plan),
        requests=count,
        timeout_ns=timeout_ns,
        length_ns=30 * NS_PER_S,
    )


def through(proxy: ConnectProxy, user: str = "") -> str:
    return f"http://{user}127.0.0.1:{proxy.port}"


@pytest.mark.parametrize(("keepalive", "tunnels"), [(True, 2), (False, 6)])
def test_each_connection_asks_for_a_tunnel_before_tls(shop: TlsFiles, keepalive: bool, tunnels: int) -> None:
    async def scenario() -> tuple[Played, list[str], ScriptedServer]:
        async with (
            ScriptedServer(scripted.good, shop.server_context()) as server,
            ConnectProxy(server.port) as proxy,
        ):
            return await played(plan_of(shop, through(proxy), keepalive=keepalive)), proxy.heads, server

    result, heads, server = run(scenario)
    assert result.outcomes() == {Outcome.OK: 6}
    assert result.cell().connects == tunnels
    assert heads == ["CONNECT shop.example:443 HTTP/1.1\r\nHost: shop.example:443\r\nUser-Agent: loadgen"] * tunnels
    assert server.requests == ["/x"] * 6
    assert set(server.hosts) == {"shop.example"}


def test_the_proxy_gets_user_name_and_password(shop: TlsFiles) -> None:
    login = "Basic YW5uOnA6QCA="  # ann:p:@ and a space

    async def scenario() -> tuple[Played, list[str]]:
        async with (
            ScriptedServer(scripted.good, shop.server_context()) as server,
            ConnectProxy(server.port, requires=login) as proxy,
        ):
            return await played(plan_of(shop, through(proxy, "ann:p%3A%40%20@"))), proxy.heads

    result, heads = run(scenario)
    assert result.outcomes() == {Outcome.OK: 6}
    assert all(head.endswith(f"\r\nProxy-Authorization: {login}") for head in heads)


def test_http_and_https_urls_share_a_proxy(shop: TlsFiles) -> None:
    async def scenario() -> tuple[Played, list[str]]:
        async with (
            ScriptedServer(scripted.good, shop.server_context()) as server,
            ScriptedServer(scripted.good) as plain,
            ConnectProxy(server.port, requires="Basic YTpi") as proxy,
        ):
            proxy.plain_upstream = plain.port
            urls = ("https://shop.example/s?size=9", "http://other.example/p?size=9")
            return await played(plan_of(shop, through(proxy, "a:b@"), *urls), count=12), proxy.heads

    result, heads = run(scenario)
    assert set(result.outcomes()) == {Outcome.OK}
    assert {head.partition("\r\n")[0] for head in heads} == {
        "CONNECT shop.example:443 HTTP/1.1",
        "GET http://other.example/p?size=9 HTTP/1.1",
    }


def test_a_session_is_resumed_through_tunnels(shop: TlsFiles) -> None:
    async def scenario() -> Played:
        async with (
            ScriptedServer(scripted.good, shop.server_context()) as server,
            ConnectProxy(server.port) as proxy,
        ):
            return await played(plan_of(shop, through(proxy), keepalive=False, resume=True))

    assert run(scenario).outcomes() == {Outcome.OK: 6}


REFUSED = [
    (b"HTTP/1.1 403 Forbidden\r\n\r\n", "the proxy refused the tunnel with status 403 (Forbidden)", "rules"),
    (b"HTTP/1.0 407\r\n\r\n", "status 407 (Proxy Authentication Required)", "USER:PASSWORD"),
    (b"HTTP/1.1 407 no\r\nproxy-authenticate: Negotiate\r\nProxy-Authenticate:NTLM\r\n\r\n", "407 (no)", "NTLM"),
    (b"HTTP/1.1 502 Bad Gateway\n\n", "status 502 (Bad Gateway)", "cannot reach the server"),
    (b"HTTP/1.1 503 \r\n\r\n", "status 503 (Service Unavailable)", "cannot reach the server"),
    (b"HTTP/1.1 405 Not Allowed\r\n\r\n", "status 405 (Not Allowed)", "no proxy"),
    (b"HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n", "status 302 (Found)", ""),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 599 \x1b[31m\r\n\r\n", "status 599 (\\x1b[31m)", ""),
    (b"SSH-2.0-OpenSSH_9.2\r\n", 'is not HTTP: "SSH-2.0-OpenSSH_9.2"', ""),
    (b"HTTP/1.1 2000 OK\r\n\r\n", "is not HTTP", ""),
    (b"\x15\x03\x01\x00\x02\x02\x46", "is not HTTP", "it speaks TLS"),
    (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000, "too large", ""),
    (b"HTTP/1.1 200 OK\r\nX: y", CLOSED, ""),
    (b"", CLOSED, ""),
]


@pytest.mark.parametrize(("answer", "words", "hint"), REFUSED)
def test_what_the_proxy_says_is_told_in_words(shop: TlsFiles, answer: bytes, words: str, hint: str) -> None:
    async def scenario() -> tuple[Played, str, str]:
        async with ConnectProxy(1, answer) as proxy:
            plan = plan_of(shop, through(proxy))
            result = await played(plan)
            return result, *await checked(plan)

    result, message, said_before = run(scenario)
    assert result.outcomes() == {Outcome.UNREACHABLE: 6}
    (shown,) = result.shown
    assert words.replace("\\", "\\\\") in shown.text
    assert hint in shown.text
    assert words in message
    assert hint in said_before


async def checked(plan: HttpPlan) -> tuple[str, str]:
    """The message and the hint of the check before a run."""
    with pytest.raises(TargetError) as caught:
        await reach(list(zip(plan.targets, plan.dialed, strict=True)), verify=True, settings=tls_settings(plan))
    return caught.value.message, caught.value.hint


def test_a_silent_proxy_is_named(shop: TlsFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.tunnels._PATIENCE_S", 0.1)

    async def scenario() -> tuple[Played, str]:
        async with ConnectProxy(1, None) as proxy:
            plan = plan_of(shop, through(proxy))
            return await played(plan, count=2, timeout_ns=200 * NS_PER_MS), (await checked(plan))[0]

    result, message = run(scenario)
    assert result.outcomes() == {Outcome.UNREACHABLE: 2}
    assert [one.text for one in result.shown] == [SILENT]
    assert message.endswith(SILENT)


def test_a_proxy_that_refuses_connections_is_named(shop: TlsFiles) -> None:
    async def scenario() -> Played:
        async with ConnectProxy(1) as proxy:
            plan = plan_of(shop, through(proxy))
        return await played(plan, count=2)

    result = run(scenario)
    assert result.outcomes() == {Outcome.REFUSED: 2}
    assert [one.text for one in result.shown] == ["the proxy refuses connections"]


def test_a_server_without_tls_behind_a_proxy_is_a_fault_of_tls(shop: TlsFiles) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async def scenario() -> Played:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server, ConnectProxy(server.sockets[0].getsockname()[1]) as proxy:
            return await played(plan_of(shop, through(proxy)))

    assert run(scenario).outcomes() == {Outcome.BAD_TLS: 6}


async def moved(path: str, size: int, writer: Writer) -> bool:
    if path == "/there":
        return await scripted.good(path, 5, writer)
    writer.write(b"HTTP/1.1 302 Found\r\nLocation: https://shop.example/there\r\nContent-Length: 0\r\n\r\n")
    return True


@pytest.mark.parametrize("url", ["https://shop.example/here", "http://shop.example/here"])
def test_redirects_are_followed_through_the_proxy(shop: TlsFiles, url: str) -> None:
    async def scenario() -> tuple[HttpPlan, list[str]]:
        async with (
            ScriptedServer(moved, shop.server_context()) as server,
            ScriptedServer(moved) as plain,
            ConnectProxy(server.port, requires="Basic YTpi") as proxy,
        ):
            proxy.plain_upstream = plain.port
            user = through(proxy, "a:b@")
            plan = HttpPlan(requests=(HttpRequest(url=url),), connections=2, proxy=user, follow=3)
            settings = replace(tls_settings(plan), authorities=shop.authority.read_text())
            found, _ = await asyncio.to_thread(followed, plan, settings)
            return found, proxy.heads

    found, heads = run(scenario)
    assert [request.url for request in found.requests] == [url, "https://shop.example/there"]
    assert heads[-1].startswith("CONNECT shop.example:443 HTTP/1.1\r\n")


def test_a_refused_tunnel_ends_the_search_for_redirects_with_a_hint(shop: TlsFiles) -> None:
    async def scenario() -> None:
        async with ConnectProxy(1, requires="Basic YTpi") as proxy:
            plan = HttpPlan(
                requests=(HttpRequest(url="https://shop.example/"),), connections=2, proxy=through(proxy), follow=3
            )
            await asyncio.to_thread(followed, plan, tls_settings(plan))

    with pytest.raises(TargetError, match=r"status 407 \(Login\)") as caught:
        run(scenario)
    assert "USER:PASSWORD" in caught.value.hint


def test_an_answer_in_pieces_opens_the_tunnel() -> None:
    for cut in range(1, len(OPENED)):
        answer = TunnelAnswer(b"")
        assert not answer.feed(OPENED[:cut])
        assert answer.feed(OPENED[cut:] + b"rest")
        assert answer.rest == b"rest"
