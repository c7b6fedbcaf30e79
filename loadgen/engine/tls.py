"""A connection over TLS: a Connection with OpenSSL between the HTTP reader and the socket.

OpenSSL works on memory buffers (ssl.MemoryBIO), so the connection keeps its own socket, sees its errors and knows
the moment of sending.
"""

from __future__ import annotations

import contextlib
import os
import ssl
from collections.abc import Sequence

from loadgen.engine.connection import Connection
from loadgen.engine.context import EngineContext
from loadgen.engine.doing import Doing
from loadgen.engine.tls_words import tls_words
from loadgen.engine.trust_store import check_trust_store
from loadgen.measure.record import RETRIED, SURPLUS
from loadgen.model.errors import PlanError
from loadgen.model.outcome import Outcome
from loadgen.model.tls import TLS_DEFAULTS, TlsSettings

_RECORD_BYTES = 16_384  # the largest plaintext of one TLS record (RFC 8446, 5.1)


def client_context(
    *, verify: bool, settings: TlsSettings = TLS_DEFAULTS, protocols: Sequence[str] = ("http/1.1",)
) -> ssl.SSLContext:
    """The TLS settings of a client: OpenSSL's defaults (with SSL_CERT_FILE and SSL_CERT_DIR), and ALPN of `protocols`.

    Without `verify` any certificate is accepted.  Raises PlanError when SSL_CERT_FILE or SSL_CERT_DIR is wrong.
    """
    if verify and not settings.authorities:
        check_trust_store(os.environ)
    context = _verifying(settings.authorities) if verify else _trusting()
    if settings.certificate:
        _present(context, settings)
    context.set_alpn_protocols(list(protocols))
    return context


def _verifying(authorities: str) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=authorities or None)


def _trusting() -> ssl.SSLContext:
    """As :func:`ssl.create_default_context`, but the authorities are not read, because that takes 20 ms."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if keys := os.environ.get("SSLKEYLOGFILE"):
        context.keylog_filename = keys
    return context


def check_settings(settings: TlsSettings) -> None:
    """Raise PlanError when the certificates or the key cannot be used."""
    if "ENCRYPTED" in settings.key + settings.certificate:
        raise PlanError("--key: the key is encrypted", hint="decrypt it: openssl pkey -in FILE -out OTHER")
    try:
        client_context(verify=True, settings=TlsSettings(authorities=settings.authorities))
    except (ssl.SSLError, ValueError):
        raise PlanError("--cacert: the file has no certificate", hint="it must be a PEM file") from None
    try:
        client_context(verify=True, settings=settings)
    except (ssl.SSLError, ValueError) as error:
        if "MISMATCH" in str(error):
            raise PlanError("--key: the key is not that of the certificate (--cert)") from None
        hint = "both must be PEM files; without --key, the file of --cert must contain the key"
        raise PlanError("--cert, --key: the files have no certificate with its key", hint=hint) from None


def _present(context: ssl.SSLContext, settings: TlsSettings) -> None:
    """Let the client present its certificate.  OpenSSL reads it from files, which exist in memory only."""
    with contextlib.ExitStack() as files:
        certificate, key = (_file(files, text) for text in (settings.certificate, settings.key))
        context.load_cert_chain(certificate, key if settings.key else None, password=_no_password)


def _no_password() -> str:
    raise ValueError("the key is encrypted")


def _file(files: contextlib.ExitStack, text: str) -> str:
    number = os.memfd_create("loadgen-pem")
    files.callback(os.close, number)
    os.write(number, text.encode())
    return f"/proc/self/fd/{number}"


class TlsConnection(Connection):
    """A :class:`Connection` to `host` over TLS.  The handshake is part of the operation that opens the connection.

    A failure during the handshake or inside TLS is recorded as BAD_TLS.
    """

    __slots__ = (
        "_host",
        "_incoming",
        "_outgoing",
        "_peer_ended",
        "_plain",
        "_resume",
        "_sealed",
        "_session",
        "_tls",
        "_tls_context",
    )

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
        resume: bool = False,
    ) -> None:
        super().__init__(context, number, target, host_line, sources=sources)
        self._host = host
        self._tls_context = tls_context
        self._incoming = self._outgoing = ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        self._resume = resume
        self._session: ssl.SSLSession | None = None  # of the last TCP connection
        self._plain = b""  # the request, until the handshake is complete
        self._sealed = False  # whether `_out` is encrypted
        self._peer_ended = False  # the server sent close_notify

    def begin(self, now_ns: int) -> None:
        """Begin the operation, which is due."""
        self._sealed = False
        super().begin(now_ns)

    def _connect(self, now_ns: int) -> bool:
        if not super()._connect(now_ns):
            return False
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = self._tls_context.wrap_bio(
            self._incoming, self._outgoing, server_hostname=self._host, session=self._session
        )
        self._plain, self._out, self._sealed = self._out, b"", False
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
        """Continue the handshake; when it is complete, send the request."""
        assert self._tls is not None
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._out += self._outgoing.read()
        except ssl.SSLError as error:
            self._fail_tls(now_ns, error)
            return
        else:
            self._context.handshakes[bool(self._tls.session_reused)] += 1
            handshake = self._out + self._outgoing.read()
            self._seal(self._plain)
            self._plain = b""
            self._out = handshake + self._out
        if self._out:
            super()._send(now_ns)

    def readable(self, found_ns: int) -> None:
        """Read the available data, and decrypt it."""
        sock, context = self._sock, self._context
        if sock is None:  # closed in the same turn of the loop
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
            if self._doing is Doing.RESTING:
                self._close()
            elif self._plain:
                self._fail_tls(now_ns, ssl.SSLEOFError())
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
            plain = self._decrypt()
        except ssl.SSLError as error:
            if self._doing is Doing.RESTING:
                self._close()
            else:
                self._fail_tls(now_ns, error)
            return
        if self._doing is Doing.RESTING:  # a server may send session tickets at any time
            if plain or self._peer_ended:
                self._flags = SURPLUS if plain else 0
                self._close()
            return
        tls = self._tls
        if plain:
            self._take(plain, now_ns)
        if self._peer_ended and self._tls is tls:  # a reply that closes the connection has dropped `_tls`
            self._ended(now_ns)

    def _fail_tls(self, now_ns: int, error: ssl.SSLError) -> None:
        """Fail the operation because of `error`, which is kept for the report."""
        words, hint = tls_words(error)
        self._context.show(self.target, Outcome.BAD_TLS, f"{words}{': ' * bool(hint)}{hint}".encode())
        self._fail(now_ns, Outcome.BAD_TLS)

    def _finish(self, now_ns: int) -> None:
        if self._peer_ended:
            self._reader.reusable = False
        super()._finish(now_ns)

    def _record(self, done_ns: int, outcome: Outcome) -> None:
        if self._plain and not self._flags & RETRIED:
            self._sent_ns = -abs(self._sent_ns)  # before the handshake is complete no request was sent
        super()._record(done_ns, outcome)

    def _decrypt(self) -> bytes:
        """All plaintext that is available now."""
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
        if self._resume and self._tls is not None and not self._plain:
            self._session = self._tls.session
        self._tls = None
        self._plain = b""
