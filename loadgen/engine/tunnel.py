"""The request for a tunnel through an HTTP proxy (RFC 9110, section 9.3.6), and the proxy's answer.  No I/O."""

from __future__ import annotations

import http
import re

from loadgen.measure.shown import escaped

_MAX_HEAD_BYTES = 65_536
_SHOWN_BYTES = 60
_END = re.compile(rb"\r?\n\r?\n")
_STATUS = re.compile(rb"HTTP/[0-9](?:\.[0-9])? +([1-9][0-9]{2})(?![^ \r\n])(?: +([^\r\n]*))?")
_CHALLENGE = re.compile(rb"^proxy-authenticate[ \t]*:[ \t]*([A-Za-z0-9-]+)", re.IGNORECASE | re.MULTILINE)
_LOGIN = "--proxy http://USER:PASSWORD@HOST:PORT"

SILENT = "the proxy did not answer the request for a tunnel (CONNECT) in time"
CLOSED = "the proxy closed the connection without an answer to the request for a tunnel (CONNECT)"


class TunnelError(ConnectionError):
    """There is no tunnel.  The message says why; `hint` says what to do, or is empty."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def tunnel_request(authority: str, authorization: str) -> bytes:
    """The request for a tunnel to `authority`, a host and a port; `authorization` is for the proxy, "" for none."""
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}", "User-Agent: loadgen"]
    if authorization:
        lines.append(f"Proxy-Authorization: {authorization}")
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("ascii")


class TunnelAnswer:
    """The answer of a proxy to `request`.  `rest`: what came after the head, from the server behind the proxy."""

    __slots__ = ("_authorized", "_data", "rest")

    def __init__(self, request: bytes) -> None:
        self._authorized = b"\r\nProxy-Authorization:" in request
        self._data = b""
        self.rest = b""

    def feed(self, data: bytes) -> bool:
        """Take bytes from the proxy; returns whether the tunnel is open.  Raises TunnelError when it is refused."""
        self._data += data
        while True:
            if not self._data[:5] == b"HTTP/"[: len(self._data)]:
                raise self._unreadable()
            end = _END.search(self._data)
            if end is None:
                if len(self._data) > _MAX_HEAD_BYTES:
                    raise TunnelError("the head of the proxy's answer is too large")
                return False
            head, self._data = self._data[: end.start()], self._data[end.end() :]
            status = _STATUS.match(head)
            if status is None:
                self._data = head
                raise self._unreadable()
            code = int(status[1])
            if code >= 200:
                break
        if code >= 300:
            raise self._refused(code, status[2] or b"", head)
        self.rest = self._data
        return True

    def _unreadable(self) -> TunnelError:
        line = self._data.splitlines()[0] if self._data else b""
        hint = ""
        if self._data[:2] in (b"\x15\x03", b"\x16\x03"):
            hint = "it speaks TLS; --proxy needs a port that speaks plain HTTP"
        return TunnelError(f'the answer of the proxy is not HTTP: "{escaped(line[:_SHOWN_BYTES])}"', hint)

    def _refused(self, code: int, phrase: bytes, head: bytes) -> TunnelError:
        words = escaped(phrase.strip()[:_SHOWN_BYTES]) or _phrase(code)
        message = f"the proxy refused the tunnel with status {code}{f' ({words})' if words else ''}"
        return TunnelError(message, self._hint(code, head))

    def _hint(self, code: int, head: bytes) -> str:
        if code == http.HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            schemes = [scheme.decode() for scheme in _CHALLENGE.findall(head)]
            if schemes and "basic" not in {scheme.lower() for scheme in schemes}:
                return f"the proxy wants authentication by {', '.join(schemes)}; only Basic is supported"
            return f"check user name and password of {_LOGIN}" if self._authorized else f"give {_LOGIN}"
        if code in (http.HTTPStatus.BAD_REQUEST, http.HTTPStatus.METHOD_NOT_ALLOWED, http.HTTPStatus.NOT_IMPLEMENTED):
            return "it may be a server that is no proxy, or one without CONNECT"
        if code == http.HTTPStatus.FORBIDDEN:
            return "the rules of the proxy do not allow this server or port"
        if code in (http.HTTPStatus.BAD_GATEWAY, http.HTTPStatus.SERVICE_UNAVAILABLE, http.HTTPStatus.GATEWAY_TIMEOUT):
            return "the proxy cannot reach the server"
        return ""


def _phrase(code: int) -> str:
    try:
        return http.HTTPStatus(code).phrase
    except ValueError:
        return ""
