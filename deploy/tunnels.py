"""Opens tunnels through an HTTP proxy before a run, for checks and redirects."""

from __future__ import annotations

import asyncio
import socket
import ssl

from loadgen.engine.tunnel import CLOSED, SILENT, TunnelAnswer, TunnelError

_READ_BYTES = 4096
_PATIENCE_S = 4.0  # less than a check may take in all, so that the proxy is named when it is silent


async def enter_tunnel(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes, context: ssl.SSLContext, name: str
) -> None:
    """Ask for a tunnel on an open connection to the proxy, and begin TLS with the server `name` behind it.

    When that fails, the connection is closed.  Raises TunnelError when there is no tunnel, and as `start_tls` does.
    """
    try:
        await _ask(reader, writer, request)
        await writer.start_tls(context, server_hostname=name)
    except BaseException:
        writer.close()
        raise


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> None:
    answer = TunnelAnswer(request)
    writer.write(request)
    try:
        async with asyncio.timeout(_PATIENCE_S):
            while not _has_opened(answer, await reader.read(_READ_BYTES)):
                pass
    except TimeoutError:
        raise TunnelError(SILENT) from None


def enter_tunnel_now(sock: socket.socket, request: bytes) -> None:
    """Do the same on a blocking socket, whose own time-out holds."""
    answer = TunnelAnswer(request)
    sock.sendall(request)
    try:
        while not _has_opened(answer, sock.recv(_READ_BYTES)):
            pass
    except TimeoutError:
        raise TunnelError(SILENT) from None


def _has_opened(answer: TunnelAnswer, data: bytes) -> bool:
    if not data:
        raise TunnelError(CLOSED)
    return answer.feed(data)
