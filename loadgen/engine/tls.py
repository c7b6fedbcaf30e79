"""A connection by TLS: the same slot with a cipher between it and its socket.

OpenSSL works on memory here, so that the socket, its errors and the moments of sending stay ours to see.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from loadgen.engine.connection import Connection, Doing
from loadgen.model.outcome import Outcome

if TYPE_CHECKING:
    from loadgen.engine.player import Player

_RECORD_BYTES = 16_384  # the most that one holds (RFC 8446, 5.1)


def client_context(*, verify: bool) -> ssl.SSLContext:
    """How we speak TLS: as OpenSSL's defaults say (SSL_CERT_FILE and SSL_CERT_DIR too), and only HTTP/1.1."""
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context


class TlsConnection(Connection):
    """A :class:`Connection` to `host` by TLS.  The handshake is part of the operation that opens the connection.

    What breaks before the handshake is over, or inside the cipher, is BAD_TLS.
    """

    __slots__ = ("_host", "_incoming", "_outgoing", "_peer_ended", "_plain", "_sealed", "_tls")

    def __init__(self, player: Player, number: int, target: int, host_line: bytes, host: str) -> None:
        super().__init__(player, number, target, host_line)
        self._host = host
        self._incoming = self._outgoing = ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        self._plain = b""  # the request, until the handshake is over
        self._sealed = False  # whether `_out` is enciphered
        self._peer_ended = False  # the server said that no more comes

    def begin(self, now_ns: int) -> None:
        """The operation is due, and begins."""
        self._sealed = False
        super().begin(now_ns)

    def _connect(self, now_ns: int) -> bool:
        if not super()._connect(now_ns):
            return False
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = self._player.tls.wrap_bio(self._incoming, self._outgoing, server_hostname=self._host)
        self._plain, self._out = self._out, b""
        self._peer_ended = False
        return True

    def _send(self, now_ns: int) -> None:
        if not self._sealed:
            self._sealed = True
            if self._plain:
                self._shake(now_ns)
                return
            self._seal(self._out)
        super()._send(now_ns)

    def _seal(self, request: bytes) -> None:
        assert self._tls is not None
        self._tls.write(request)
        self._out = self._outgoing.read()

    def _shake(self, now_ns: int) -> None:
        """Go on with the handshake; once it is over, the request follows."""
        assert self._tls is not None
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._out += self._outgoing.read()
        except ssl.SSLError:
            self._fail(now_ns, Outcome.BAD_TLS)
            return
        else:
            handshake = self._out + self._outgoing.read()
            self._seal(self._plain)
            self._plain = b""
            self._out = handshake + self._out
        if self._out:
            super()._send(now_ns)

    def readable(self, found_ns: int) -> None:
        """There is something to read, and maybe to decipher."""
        player, sock = self._player, self._sock
        if sock is None:  # closed in the same turn of the loop
            return
        try:
            data = sock.recv(player.read_bytes)
        except BlockingIOError:
            return
        except OSError as error:
            self._torn(player.now_ns(), error)
            return
        now_ns = player.now_ns()
        if not data:
            if self._doing is Doing.RESTING:
                self._close()
            elif self._plain:
                self._fail(now_ns, Outcome.BAD_TLS)
            else:
                self._ended(now_ns)
            return
        self._progress_ns = now_ns
        self._incoming.write(data)
        if self._plain:
            self._shake(now_ns)
        if self._plain or self._tls is None:
            return
        try:
            plain = self._decipher()
        except ssl.SSLError:
            if self._doing is Doing.RESTING:
                self._close()
            else:
                self._fail(now_ns, Outcome.BAD_TLS)
            return
        if self._doing is Doing.RESTING:  # tickets for later sessions come whenever they like
            if plain or self._peer_ended:
                self._close()
            return
        tls = self._tls
        if plain:
            self._take(plain, now_ns)
        if self._peer_ended and self._tls is tls:  # what is over with the connection has closed it
            self._ended(now_ns)

    def _finish(self, now_ns: int) -> None:
        if self._peer_ended:
            self._reader.reusable = False
        super()._finish(now_ns)

    def _record(self, done_ns: int, outcome: Outcome) -> None:
        if self._plain:
            self._sent_ns = 0  # nor before the handshake is over
        super()._record(done_ns, outcome)

    def _decipher(self) -> bytes:
        """All that can be read."""
        tls, pieces = self._tls, []
        assert tls is not None
        while True:
            try:
                piece = tls.read(_RECORD_BYTES)
            except ssl.SSLWantReadError:
                break
            if not piece:
                self._peer_ended = True
                break
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _broken(self, error: OSError) -> Outcome:
        if self._plain and self._doing is not Doing.CONNECTING:
            return Outcome.BAD_TLS
        return super()._broken(error)

    def _close(self) -> None:
        super()._close()
        self._tls = None
        self._plain = b""
