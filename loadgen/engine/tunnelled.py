"""A connection over TLS through the tunnel of an HTTP proxy."""

from __future__ import annotations

import ssl
from collections.abc import Sequence

from loadgen.engine.connection import Connection
from loadgen.engine.context import EngineContext
from loadgen.engine.doing import Doing
from loadgen.engine.tls import TlsConnection
from loadgen.engine.tunnel import CLOSED, SILENT, TunnelAnswer, TunnelError, tunnel_request
from loadgen.model.outcome import Outcome
from loadgen.model.target import Target
from loadgen.model.tls import TlsSettings

_CONNECT_FAILED = {
    Outcome.REFUSED: "the proxy refuses connections",
    Outcome.UNREACHABLE: "the proxy cannot be reached",
}


class TunnelledConnection(TlsConnection):
    """A :class:`TlsConnection` that asks a proxy for a tunnel with `request` first.

    The tunnel is part of the operation that opens the connection, as the TLS handshake is.  Without a tunnel the
    operation is UNREACHABLE, and the report shows what the proxy said.
    """

    __slots__ = ("_answer", "_tunnel_request")

    def __init__(
        self,
        context: EngineContext,
        number: int,
        target: int,
        host_line: bytes,
        *,
        sources: Sequence[str],
        host: str,
        tls_context: ssl.SSLContext,
        request: bytes,
        resume: bool = False,
    ) -> None:
        super().__init__(
            context, number, target, host_line, sources=sources, host=host, tls_context=tls_context, resume=resume
        )
        self._tunnel_request = request
        self._answer: TunnelAnswer | None = None  # of the proxy, until the tunnel is open

    def _connect(self, now_ns: int) -> bool:
        self._answer = TunnelAnswer(self._tunnel_request)
        return super()._connect(now_ns)

    def _shake(self, now_ns: int) -> None:
        """Ask for the tunnel; when it is open, continue the handshake."""
        if self._answer is None:
            super()._shake(now_ns)
        else:
            self._out = self._tunnel_request
            Connection._send(self, now_ns)

    def readable(self, found_ns: int) -> None:
        """Read the answer of the proxy; when the tunnel is open, what the server sends."""
        sock, answer, context = self._sock, self._answer, self._context
        if sock is None or answer is None:
            super().readable(found_ns)
            return
        try:
            data = sock.recv(context.read_bytes)
        except BlockingIOError:
            return
        except OSError as error:
            self._read_failed(context.now_ns(), error)
            return
        now_ns = context.now_ns()
        if not data:
            self._fail(now_ns, Outcome.NO_REPLY)
            return
        self._progress_ns = now_ns
        try:
            is_open = answer.feed(data)
        except TunnelError as error:
            self._show(f"{error}{': ' * bool(error.hint)}{error.hint}")
            self._fail(now_ns, Outcome.UNREACHABLE)
            return
        if is_open:
            self._answer = None
            self._incoming.write(answer.rest)
            self._shake(now_ns)

    def _fail(self, now_ns: int, outcome: Outcome) -> None:
        """Fail the operation; until the tunnel is open, whatever happens is the proxy's."""
        if self._answer is not None:
            if self._doing is Doing.CONNECTING:
                self._show(_CONNECT_FAILED.get(outcome, ""), outcome)
            else:
                self._show(SILENT if outcome is Outcome.TIMED_OUT else CLOSED)
                outcome = Outcome.UNREACHABLE
        super()._fail(now_ns, outcome)

    def _show(self, words: str, outcome: Outcome = Outcome.UNREACHABLE) -> None:
        """Keep what the report shows; of several texts for one outcome, the first counts."""
        self._context.show(self.target, outcome, words.encode())


def new_secured(
    context: EngineContext,
    number: int,
    index: int,
    host_line: bytes,
    *,
    sources: Sequence[str],
    target: Target,
    settings: TlsSettings,
    tls_context: ssl.SSLContext,
) -> TlsConnection:
    """The connection `number` to `target`, number `index`: through a tunnel if the settings say so."""
    host, resume = settings.name or target.server_name, settings.resume
    if not settings.tunnel:
        return TlsConnection(
            context, number, index, host_line, sources=sources, host=host, resume=resume, tls_context=tls_context
        )
    return TunnelledConnection(
        context,
        number,
        index,
        host_line,
        sources=sources,
        host=host,
        resume=resume,
        tls_context=tls_context,
        request=tunnel_request(target.authority, settings.proxy_authorization),
    )
