"""A web server that speaks HTTP/2 by the h2 library, correctly or wrong in a known way."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import h2.events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.exceptions import ProtocolError, StreamClosedError
from h2.settings import SettingCodes

from tests.support.scripted import reset
from tests.support.tapes import content

Behaviour = Callable[["Client", int, "Request"], Awaitable[None]]
"""A function of (client, stream, request) that answers one request, which is complete."""

ACK = bytes((0, 0, 0, 4, 1, 0, 0, 0, 0))
"""The frame that acknowledges SETTINGS."""


@dataclass
class Request:
    """A request that arrived."""

    headers: dict[str, str]
    body: bytes = b""

    @property
    def path(self) -> str:
        return self.headers[":path"].partition("?")[0]

    @property
    def size(self) -> int:
        return int(self.headers[":path"].partition("size=")[2] or 0)


@dataclass
class Client:
    """One connection of a client to the server."""

    h2: H2Connection
    writer: asyncio.StreamWriter
    number: int
    open: dict[int, Request] = field(default_factory=dict)
    seen: int = 0  # requests that are complete
    pending: dict[int, bytes] = field(default_factory=dict)  # bodies that flow control holds back
    pings: int = 0
    hides: bytes = b""  # bytes that are taken out of what is sent

    def raw(self, data: bytes) -> None:
        self.flush()
        self.writer.write(data)

    def reset(self, stream: int, code: int) -> None:
        self.h2.reset_stream(stream, code)
        self.flush()

    def flush(self) -> None:
        data = self.h2.data_to_send()
        if self.writer.is_closing():
            return
        self.writer.write(data.replace(self.hides, b"") if self.hides else data)

    def reply(self, stream: int, body: bytes, *, status: str = "200", extra: tuple[tuple[str, str], ...] = ()) -> None:
        self.h2.send_headers(stream, [(":status", status), *extra], end_stream=not body)
        if body:
            self.pending[stream] = body
            self.pump()
        self.flush()

    def pump(self) -> None:
        for stream, body in list(self.pending.items()):
            rest = body
            with contextlib.suppress(StreamClosedError):
                while rest:
                    room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
                    if room <= 0:
                        break
                    piece, rest = rest[:room], rest[room:]
                    self.h2.send_data(stream, piece, end_stream=not rest)
            if rest:
                self.pending[stream] = rest
            else:
                del self.pending[stream]

    def goaway(self, last_stream: int, code: int = 0) -> None:
        """Send GOAWAY, and go on with the streams up to `last_stream`: h2 would refuse that."""
        self.raw(frame(7, 0, struct.pack("!II", last_stream, code)))


def frame(kind: int, stream: int, payload: bytes, flags: int = 0) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


async def good(client: Client, stream: int, request: Request) -> None:
    client.reply(stream, content(request.path, request.size))


class Http2Server:
    """Serves on a free port of `host` until it is left.  `settings`: those that it sends, by code."""

    def __init__(
        self,
        behaviour: Behaviour = good,
        tls: ssl.SSLContext | None = None,
        *,
        settings: Mapping[int, int] | None = None,
        hides: bytes = b"",
        host: str = "127.0.0.1",
    ) -> None:
        self._host = host
        self._behaviour = behaviour
        self._tls = tls
        self._settings = dict(settings or {})
        self._hides = hides
        self.requests: list[Request] = []
        self.clients: list[Client] = []
        self.refused: list[str] = []  # what h2 found wrong with the client
        self.most_at_once = 0  # streams of one connection
        self.acknowledged = 0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        if self._tls is not None:
            self._tls.set_alpn_protocols(["h2"])
        self._server = await asyncio.start_server(self._serve, self._host, 0, ssl=self._tls, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for client in self.clients:
            client.writer.transport.abort()
        await asyncio.gather(*self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        connection = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.local_settings.update({SettingCodes(code): value for code, value in self._settings.items()})
        connection.local_settings.acknowledge()
        connection.initiate_connection()
        client = Client(connection, writer, len(self.clients), hides=self._hides)
        self.clients.append(client)
        client.flush()
        with contextlib.suppress(ConnectionError, OSError):
            while data := await reader.read(65_536):
                try:
                    events = connection.receive_data(data)
                except ProtocolError as error:
                    self.refused.append(repr(error))
                    break
                for event in events:
                    await self._handle(client, event)
                client.pump()
                client.flush()
                if writer.is_closing():
                    break
        writer.close()

    async def _handle(self, client: Client, event: h2.events.Event) -> None:
        match event:
            case h2.events.RequestReceived():
                assert event.stream_id
                client.open[event.stream_id] = Request(dict(event.headers or ()))  # type: ignore[arg-type]
                self.most_at_once = max(self.most_at_once, len(client.open))
            case h2.events.DataReceived():
                assert event.stream_id
                client.open[event.stream_id].body += event.data or b""
                client.h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
            case h2.events.StreamEnded():
                assert event.stream_id
                request = client.open.pop(event.stream_id)
                self.requests.append(request)
                client.seen += 1
                await self._behaviour(client, event.stream_id, request)
            case h2.events.StreamReset():
                client.open.pop(event.stream_id or 0, None)
                client.pending.pop(event.stream_id or 0, None)
            case h2.events.PingAckReceived():
                client.pings += 1
            case h2.events.SettingsAcknowledged():
                self.acknowledged += 1


async def vanish(client: Client) -> None:
    """Close a connection with RST."""
    client.flush()
    if not client.writer.is_closing():
        reset(client.writer)
