"""Requests one path from every server, off the hot path: to check that it is there, to send commands, to fetch logs."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import importlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loadgen.engine.resolve import look_up
from loadgen.host.links import is_link_local
from loadgen.model.address import format_address
from loadgen.model.target import Target

if TYPE_CHECKING:  # a tenth of a second to import, and most runs of `loadgen http` ask servers nothing
    import aiohttp

_TIMEOUTS_S = {"total": 60, "sock_connect": 3, "sock_read": 3}
_MAX_BODY_BYTES = 256 << 20  # a POST log of 1.8 million records
_AT_ONCE = 16  # a server may need 30 ms of CPU for its answer; with more at once, each waits too long for the cores


@dataclass(frozen=True, slots=True)
class Answer:
    """The body of a server's reply; or `problem`, a phrase that says why there is none, and an empty body."""

    body: bytes
    problem: str = ""


def load_client() -> None:
    """Import the HTTP client now, so that the first :func:`ask_all` need not do it.  Any thread may call this."""
    importlib.import_module("aiohttp")


async def ask_all(targets: Sequence[Target], path: str) -> list[Answer]:
    """The replies of all targets to GET `path`, in the order of `targets`.

    Any status but 200 is a problem.  Raises nothing, whatever a server does.
    """
    import aiohttp

    turns, timeout = asyncio.Semaphore(_AT_ONCE), aiohttp.ClientTimeout(**_TIMEOUTS_S)
    async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:

        async def one(target: Target) -> Answer:
            async with turns:
                try:
                    if is_link_local(target.host):
                        return await asyncio.to_thread(_get_from_link, target, path)
                    return await _get(session, f"http://{format_address(target.host, target.port)}{path}")
                except TimeoutError:
                    return Answer(b"", "no answer in time")
                except aiohttp.ClientConnectorError as error:
                    number = error.os_error.errno or 0
                    why = os.strerror(number) if number > 0 else error.os_error.strerror  # resolver errors are below 0
                    return Answer(b"", (why or str(error.os_error)).lower())
                except (aiohttp.ClientError, http.client.HTTPException, OSError, ValueError) as error:
                    said = (
                        os.strerror(error.errno).lower() if isinstance(error, OSError) and error.errno else str(error)
                    )
                    return Answer(b"", said or type(error).__name__)

        return list(await asyncio.gather(*(one(target) for target in targets)))


async def _get(session: aiohttp.ClientSession, url: str) -> Answer:
    from yarl import URL

    # encoded=True sends the path as it is written: a workload's query strings need not be form data.
    async with session.get(URL(url, encoded=True), allow_redirects=False) as reply:
        if reply.status != 200:
            return Answer(b"", f"it answers {reply.status} {reply.reason}")
        pieces, size = [], 0
        async for piece in reply.content.iter_chunked(1 << 16):
            pieces.append(piece)
            size += len(piece)
            if size > _MAX_BODY_BYTES:
                return Answer(b"", f"its reply is longer than {_MAX_BODY_BYTES} bytes")
        return Answer(b"".join(pieces))


def _get_from_link(target: Target, path: str) -> Answer:
    """The reply of a server at a link-local address: uvloop drops its interface, and aiohttp connects by uvloop."""
    look_up(target)  # says what is wrong with the address
    connection = http.client.HTTPConnection(target.host, target.port, timeout=_TIMEOUTS_S["sock_read"])
    with contextlib.closing(connection):
        connection.putrequest("GET", path, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", target.host_header)
        connection.endheaders()
        reply = connection.getresponse()
        if reply.status != 200:
            return Answer(b"", f"it answers {reply.status} {reply.reason}")
        body = reply.read(_MAX_BODY_BYTES + 1)
    if len(body) > _MAX_BODY_BYTES:
        return Answer(b"", f"its reply is longer than {_MAX_BODY_BYTES} bytes")
    return Answer(body)
