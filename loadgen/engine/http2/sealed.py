"""TLS between HTTP/2 and the socket, on memory buffers: bytes in, bytes out, no I/O."""

from __future__ import annotations

import ssl

_RECORD_BYTES = 16_384  # the largest plaintext of one TLS record (RFC 8446, section 5.1)

PROTOCOLS = ("h2", "http/1.1")
"""The protocols that are offered (ALPN).  HTTP/1.1 is offered only to learn that a server has no HTTP/2."""


class Sealed:
    """One TLS connection to `host`, which asks to resume `ticket`, the session of an earlier one."""

    __slots__ = ("_incoming", "_outgoing", "_tls", "ended", "ready")

    def __init__(self, context: ssl.SSLContext, host: str, ticket: ssl.SSLSession | None = None) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host, session=ticket)
        self.ready = False  # the handshake is complete
        self.ended = False  # the server sent close_notify

    @property
    def speaks_http2(self) -> bool:
        """Whether the server chose HTTP/2; known when the handshake is complete."""
        return self._tls.selected_alpn_protocol() == PROTOCOLS[0]

    @property
    def resumed(self) -> bool:
        """Whether the server resumed the session; known when the handshake is complete."""
        return bool(self._tls.session_reused)

    @property
    def ticket(self) -> ssl.SSLSession | None:
        """What a later connection can resume; in TLS 1.3, the server sends it after the handshake."""
        return self._tls.session

    def shake(self) -> bytes:
        """Continue the handshake; returns what is to be sent.  Raises ssl.SSLError when it fails."""
        try:
            self._tls.do_handshake()
            self.ready = True
        except ssl.SSLWantReadError:
            pass
        return self._outgoing.read()

    def take(self, data: bytes) -> None:
        """Take bytes from the socket."""
        self._incoming.write(data)

    def open(self) -> bytes:
        """All plaintext that has arrived.  Raises ssl.SSLError when a record is wrong."""
        pieces = []
        while True:
            try:
                piece = self._tls.read(_RECORD_BYTES)
            except ssl.SSLWantReadError:
                break
            if not piece:
                self.ended = True
                break
            pieces.append(piece)
        return b"".join(pieces)

    def seal(self, data: bytes) -> bytes:
        """The encrypted form of `data`."""
        self._tls.write(data)
        return self._outgoing.read()
