"""The contract of every engine for targets whose names have several addresses."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import uvloop

from loadgen.engine.api import Arrivals, Engine
from loadgen.engine.resolve import look_up, resolve
from loadgen.measure.events import AddressUse
from loadgen.model.errors import TargetError
from loadgen.model.outcome import Outcome
from loadgen.model.sending import IpVersion, Resolve
from loadgen.model.target import Target
from tests.support import engines
from tests.support.engines import ENGINES, MakeEngine, Played, python_engine
from tests.support.http2_server import Client, Http2Server, Request, good
from tests.support.tapes import Op, content, make_tape

BODY = content("/x", 1000)
REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + BODY


@pytest.fixture(params=sorted(ENGINES))
def engine(request: pytest.FixtureRequest) -> MakeEngine:
    return ENGINES[request.param]


def one_port(hosts: Sequence[str]) -> list[socket.socket]:
    """Sockets at one port of all hosts: one that is free at the first may be in use at another."""
    for _ in range(100):
        socks: list[socket.socket] = []
        with contextlib.suppress(OSError):
            for host in hosts:
                family = socket.AF_INET6 if ":" in host else socket.AF_INET
                port = socks[0].getsockname()[1] if socks else 0
                socks.append(socket.create_server((host, port), family=family))
            return socks
        for sock in socks:
            sock.close()
    raise AssertionError(f"no port is free at {hosts}")


class Servers:
    """A server on one port of several addresses; counts connections by their remote and their local address."""

    def __init__(self) -> None:
        self.port = 0
        self.connections: Counter[tuple[str, str]] = Counter()

    @contextlib.asynccontextmanager
    async def on(self, *hosts: str) -> AsyncIterator[Servers]:
        async with contextlib.AsyncExitStack() as stack:
            for sock in one_port(hosts):
                server = await asyncio.start_server(self._serve, sock=sock)
                self.port = sock.getsockname()[1]
                await stack.enter_async_context(server)
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while b"\r\n" in (line := await reader.readuntil(b"\r\n\r\n")) and line:
                if not hasattr(writer, "counted"):
                    names = writer.get_extra_info("sockname")[0], writer.get_extra_info("peername")[0]
                    self.connections[names] += 1
                    writer.counted = True  # type: ignore[attr-defined]
                writer.write(REPLY)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def by_address(self) -> dict[str, int]:
        """Return the number of connections with a request, by the address that they reached."""
        found: Counter[str] = Counter()
        for (at, _), number in self.connections.items():
            found[at] += number
        return dict(found)


def named(monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
    """Let the name `many.test` have these addresses, in this order."""
    known = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, family: int = 0, *args: Any, **more: Any) -> list[Any]:
        if host != "many.test":
            return known(host, port, family, *args, **more)
        found = [one for name in hosts for one in known(name, port, 0, socket.SOCK_STREAM)]
        return [one for one in found if family in (0, one[0])]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def played(make: MakeEngine, servers: Servers, *hosts: str, connections: int = 6, **load: Any) -> tuple[Played, Engine]:
    """Play 300 ms against `many.test`; `hosts` are the addresses at which servers listen."""
    made: list[Engine] = []

    def keep(*arguments: Any) -> Engine:
        made.append(make(*arguments))
        return made[-1]

    async def scenario() -> Played:
        async with servers.on(*hosts):
            target = Target(name="t", host="many.test", port=servers.port)
            tape = make_tape([Op()], connections)
            return await asyncio.wait_for(
                engines.play(keep, tape, [servers.port], targets=[target], length_ns=300_000_000, **load), 30
            )

    return uvloop.run(scenario()), made[0]


THREE = ("127.0.0.3", "127.0.0.1", "127.0.0.2")


def test_connections_are_spread_over_all_addresses_of_a_name(
    monkeypatch: pytest.MonkeyPatch, engine: MakeEngine
) -> None:
    named(monkeypatch, *THREE)
    servers = Servers()
    result, made = played(engine, servers, *THREE, connections=7, resolve=Resolve.ALL)
    assert set(result.outcomes()) <= {Outcome.OK, Outcome.CUT}
    assert servers.by_address() == {"127.0.0.1": 3, "127.0.0.2": 2, "127.0.0.3": 2}
    assert made.addresses == (
        AddressUse("t", "127.0.0.1", 3),
        AddressUse("t", "127.0.0.2", 2),
        AddressUse("t", "127.0.0.3", 2),
    )


def test_open_loops_are_spread_in_the_same_way(monkeypatch: pytest.MonkeyPatch, engine: MakeEngine) -> None:
    named(monkeypatch, *THREE)
    servers = Servers()
    arrivals = Arrivals(rate_per_s=500, poisson=False, seed=1, part=0, parts=1, max_backlog=100)
    result, _ = played(engine, servers, *THREE, resolve=Resolve.ALL, arrivals=arrivals)
    assert set(result.outcomes()) <= {Outcome.OK, Outcome.CUT}
    assert set(servers.by_address()) == set(THREE)


def test_only_the_first_address_is_used_when_asked(monkeypatch: pytest.MonkeyPatch, engine: MakeEngine) -> None:
    named(monkeypatch, *THREE)
    servers = Servers()
    _, made = played(engine, servers, *THREE, resolve=Resolve.FIRST)
    assert servers.by_address() == {"127.0.0.3": 6}
    assert [(one.address, one.connections) for one in made.addresses] == [
        ("127.0.0.3", 6),
        ("127.0.0.1", 0),
        ("127.0.0.2", 0),
    ]


def test_addresses_that_do_not_accept_are_left_out_and_told(
    monkeypatch: pytest.MonkeyPatch, engine: MakeEngine
) -> None:
    named(monkeypatch, *THREE)
    servers = Servers()
    result, made = played(engine, servers, "127.0.0.1", "127.0.0.2", resolve=Resolve.ALL)
    assert set(result.outcomes()) <= {Outcome.OK, Outcome.CUT}
    assert servers.by_address() == {"127.0.0.1": 3, "127.0.0.2": 3}
    assert AddressUse("t", "127.0.0.3", 0) in made.addresses


def test_both_versions_of_ip_are_spread(monkeypatch: pytest.MonkeyPatch, engine: MakeEngine) -> None:
    named(monkeypatch, "::1", "127.0.0.1")
    servers = Servers()
    played(engine, servers, "127.0.0.1", "::1", resolve=Resolve.ALL)
    assert servers.by_address() == {"127.0.0.1": 3, "::1": 3}


@pytest.mark.parametrize(("version", "used"), [(IpVersion.V4, "127.0.0.1"), (IpVersion.V6, "::1")])
def test_a_version_of_ip_can_be_chosen(
    monkeypatch: pytest.MonkeyPatch, engine: MakeEngine, version: IpVersion, used: str
) -> None:
    named(monkeypatch, "::1", "127.0.0.1")
    servers = Servers()
    _, made = played(engine, servers, "127.0.0.1", "::1", resolve=Resolve.ALL, ip_version=version)
    assert servers.by_address() == {used: 6}
    assert made.addresses == ()


def test_each_source_meets_each_address(monkeypatch: pytest.MonkeyPatch, engine: MakeEngine) -> None:
    named(monkeypatch, "127.0.0.1", "127.0.0.2")
    servers = Servers()
    sources = ("127.0.0.4", "127.0.0.5")
    played(engine, servers, "127.0.0.1", "127.0.0.2", connections=8, resolve=Resolve.ALL, sources=sources)
    assert dict(servers.connections) == {(at, source): 2 for at in ("127.0.0.1", "127.0.0.2") for source in sources}


def test_if_no_address_accepts_the_first_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    named(monkeypatch, "127.0.0.2", "127.0.0.1")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # bound, but not listening
        target = Target(name="t", host="many.test", port=silent.getsockname()[1])
        (ways,) = resolve([target], Resolve.ALL, IpVersion.ANY)
    assert [address[0] for _, address in ways.used] == ["127.0.0.2"]


def test_many_names_are_looked_up_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    targets = [Target(name=f"t{n}", host=f"127.0.0.{n}", port=80) for n in range(1, 100)]
    ways = resolve(targets, Resolve.ALL, IpVersion.ANY)
    assert [one.used[0][1][0] for one in ways] == [target.host for target in targets]


@pytest.mark.parametrize(
    ("host", "version", "why"),
    [
        ("::1", IpVersion.V4, "t: '::1' has no IPv4 address"),
        ("127.0.0.1", IpVersion.V6, "t: '127.0.0.1' has no IPv6 address"),
        ("fe80::1%nope0", IpVersion.ANY, "t: this machine has no network interface 'nope0'"),
        ("nowhere.invalid", IpVersion.ANY, "t: 'nowhere.invalid' cannot be resolved: "),
    ],
)
def test_a_host_without_an_address_is_refused_with_the_reason(host: str, version: IpVersion, why: str) -> None:
    with pytest.raises(TargetError) as caught:
        look_up(Target(name="t", host=host, port=80), version)
    assert caught.value.message.startswith(why)


def test_a_resolver_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_: object) -> list[Any]:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(TargetError, match=r"'many\.test' cannot be resolved: the name servers do not answer"):
        look_up(Target(name="t", host="many.test", port=80))


def test_connections_of_http2_are_spread_and_their_streams_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    named(monkeypatch, *THREE)
    reached: dict[int, str] = {}
    made: list[Engine] = []

    async def behave(client: Client, stream: int, request: Request) -> None:
        reached[client.number] = client.writer.get_extra_info("sockname")[0]
        await good(client, stream, request)

    def keep(*arguments: Any) -> Engine:
        made.append(python_engine(*arguments))
        return made[-1]

    async def scenario() -> Played:
        async with Http2Server(behave, host="0.0.0.0") as server:
            target = Target(name="t", host="many.test", port=server.port)
            load: dict[str, Any] = {"streams": 2, "resolve": Resolve.ALL, "length_ns": 300_000_000}
            tape = make_tape([Op()], 8)
            return await asyncio.wait_for(engines.play(keep, tape, [server.port], targets=[target], **load), 30)

    result = uvloop.run(scenario())
    assert set(result.outcomes()) <= {Outcome.OK, Outcome.CUT}
    assert Counter(reached.values()) == {"127.0.0.1": 2, "127.0.0.2": 1, "127.0.0.3": 1}
    assert {one.address: one.connections for one in made[0].addresses} == Counter(reached.values())
