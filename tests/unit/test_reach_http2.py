"""The check before a run that servers speak HTTP/2."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from deploy.vms.reach import reach
from loadgen.model.errors import TargetError
from loadgen.model.target import Target
from tests.support import scripted
from tests.support.http2_server import Http2Server
from tests.support.scripted import ScriptedServer
from tests.support.tls_files import make_tls_files


def target(port: int, *, tls: bool = False) -> Target:
    return Target(name="t", host="127.0.0.1", port=port, tls=tls)


def twice(*targets: Target) -> list[tuple[Target, Target]]:
    """Each target, and where its connections go to."""
    return [(one, one) for one in targets]


async def problem(port: int, *, tls: bool = False) -> tuple[str, str]:
    with pytest.raises(TargetError) as caught:
        await reach(twice(target(port, tls=tls)), verify=False, http2=True)
    return caught.value.message, caught.value.hint


def test_servers_with_http2_are_accepted(tmp_path: Path) -> None:
    async def scenario() -> list[str]:
        files = make_tls_files(tmp_path)
        async with Http2Server() as plain, Http2Server(tls=files.server_context()) as secured:
            return await reach(twice(target(plain.port), target(secured.port, tls=True)), verify=False, http2=True)

    assert asyncio.run(scenario()) == []


def test_a_tls_server_without_http2(tmp_path: Path) -> None:
    async def scenario() -> tuple[str, str]:
        async with ScriptedServer(scripted.good, make_tls_files(tmp_path).server_context()) as server:
            return await problem(server.port, tls=True)

    message, hint = asyncio.run(scenario())
    assert message == "t: it does not offer HTTP/2 in the TLS handshake (ALPN)"
    assert hint == "omit --http2, or turn HTTP/2 on in the server"


@pytest.mark.parametrize(
    ("says", "said"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "t: it answers with HTTP/1.1 when HTTP/2 is spoken to it"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "t: it does not answer in HTTP/2"),
        (b"", "t: it closes the connection when HTTP/2 is spoken to it"),
    ],
)
def test_what_is_no_http2_is_said_in_one_line(says: bytes, said: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(says)
        writer.close()

    async def scenario() -> tuple[str, str]:
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            return await problem(server.sockets[0].getsockname()[1])

    message, hint = asyncio.run(scenario())
    assert message == said
    assert hint == "omit --http2, or turn HTTP/2 on in the server"


def test_one_of_several_servers_is_a_notice(tmp_path: Path) -> None:
    async def scenario() -> list[str]:
        async with Http2Server() as good, ScriptedServer(scripted.silent) as other:
            port = other.port
            await other.__aexit__(None, None, None)
            return await reach(twice(target(good.port), target(port)), verify=False, http2=True)

    assert asyncio.run(scenario()) == ["t: connection refused"]
