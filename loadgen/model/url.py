"""Parses the URLs of requests.  The path and the query are sent as they are given."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from loadgen.model.address import port_number
from loadgen.model.errors import PlanError
from loadgen.model.hostname import HostError, ascii_host

_URL = re.compile(
    r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://)?(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?P<query>\?[^#]*)?(?:#.*)?",
    re.S,
)
_START = re.compile(r"(?:([A-Za-z]+)://)?([^/?#]*)")
_USUAL = re.compile(r"(https?)://([^/?#\x00-\x20\x7f-\U0010ffff]+)([/?][!\"$-~]*)?")  # ASCII without a fragment
_AUTHORITY = re.compile(r"(?:(?P<user>.*)@)?(?P<host>\[[^\[\]]*\]|[^\[\]:]*)(?::(?P<port>[0-9]*))?", re.S)
_HALF_SCHEME = re.compile(r"https?:(?![0-9]+(?:[/?#]|$))", re.I)  # a host may be called http
_WRONG = re.compile(r"[\x00-\x20\x7f\ud800-\udfff]")
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))
_PORTS = {"http": 80, "https": 443}
_EXAMPLE = "write it like http://127.0.0.1:8080/path"


@dataclass(frozen=True, slots=True, kw_only=True)
class Url:
    """The parts of an http or https URL; `path` includes the query, as in a request line.

    `host` is ASCII; an IPv6 address has no brackets, and may have a zone (`fe80::1%eth0`).  `user` is the user name and
    the password as they are written before an `@`, "" without one.
    """

    tls: bool
    host: str
    port: int
    path: str
    user: str = ""

    @classmethod
    def parse(cls, text: str) -> Url:
        """The parts of a URL like `https://example.org:8443/a?b`; without a scheme, it is an http URL, as in curl.

        Printable characters of the path and the query stay as they are; others become %XX of UTF-8.  A fragment is not
        sent.  Raises PlanError for any other text.
        """
        (tls, host, port, user), path = split_url(text)
        return cls(tls=tls, host=host, port=port, path=path, user=user)

    @property
    def credentials(self) -> bytes:
        """User name and password of the URL as HTTP's basic authentication has them; b"" without a user name."""
        return credentials_of(self.user)


def credentials_of(user: str) -> bytes:
    """See :attr:`Url.credentials`; `user` is what stands before an `@`."""
    name, _, password = user.partition(":")
    return unquote_to_bytes(name) + b":" + unquote_to_bytes(password) if user else b""


def split_url(text: str) -> tuple[tuple[bool, str, int, str], str]:
    """The parts of a URL as two: whether it has TLS, its host, port and user; and its path.  See :meth:`Url.parse`.

    Faster than to make a Url, for plans of 100,000 URLs.  Raises PlanError.
    """
    usual = _USUAL.fullmatch(text)
    scheme, authority, path = usual.groups() if usual else _split(text)
    try:
        origin = _origin(scheme, authority)
    except PlanError as error:
        raise PlanError(f"{text!r} is not a URL: {error.message}", hint=error.hint) from None
    if not path or path.startswith("?"):
        path = f"/{path or ''}"
    return origin, path


def _split(text: str) -> tuple[str, str, str]:
    """The scheme, the authority and the path with the query, which is escaped, of any text that may be a URL."""
    if wrong := _WRONG.search(text):
        raise PlanError(
            f"{text!r} is not a URL: {wrong[0]!r} is not allowed in it", hint="write such characters as %XX"
        )
    match = _URL.fullmatch(text)
    assert match is not None  # any text matches
    scheme, authority, path, query = match.groups()
    if not scheme and _HALF_SCHEME.match(text):
        raise PlanError(f"{text!r} is not a URL: http: and https: need two slashes", hint=_EXAMPLE)
    path += query or ""
    return scheme or "http", authority, path if path.isascii() else quote(path, safe=_PRINTABLE)


def server_of(text: str) -> tuple[bool, str, int]:
    """Whether a URL that can be parsed has TLS, and its host and port; faster than to parse the whole."""
    match = _START.match(text)
    tls, host, port, _ = _origin(match[1] or "http", match[2])  # type: ignore[index]  # it matches any text
    return tls, host, port


def complete(text: str) -> str:
    """The URL with its scheme: `example.org/a` is `http://example.org/a`."""
    return text if "://" in text.partition("?")[0] else f"http://{text}"


@functools.lru_cache(maxsize=4096)
def _origin(scheme: str, authority: str) -> tuple[bool, str, int, str]:
    """Whether the scheme is https, and host, port and user of an authority.

    Kept, because many URLs of one plan have the same.  Raises PlanError that does not quote the URL.
    """
    scheme = scheme.lower()
    if "unix" in scheme or authority.startswith("unix:"):
        raise PlanError(
            "unix sockets are not supported",
            hint="let a TCP port lead to it: socat TCP-LISTEN:8080,bind=127.0.0.1,fork,reuseaddr UNIX-CONNECT:PATH",
        )
    if scheme not in _PORTS:
        raise PlanError(f"the scheme must be http or https, got {scheme}", hint=_EXAMPLE)
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None:
        raise _unreadable(authority)
    port = port_number(parts["port"]) if parts["port"] else _PORTS[scheme]
    if not 1 <= port <= 65535:
        raise PlanError("the port must be 1 to 65535", hint=_EXAMPLE)
    return scheme == "https", _host(parts["host"]), port, parts["user"] or ""


def _unreadable(authority: str) -> PlanError:
    host = authority.rpartition("@")[2]
    if host.count(":") > 1 and "[" not in host:
        return PlanError("an IPv6 address needs brackets", hint="write it like http://[::1]:80/")
    if "[" in host or "]" in host:
        return PlanError("its brackets hold no host", hint="write it like http://[::1]:80/")
    return PlanError(f"{host.partition(':')[2]!r} is not a port", hint=_EXAMPLE)


def _host(written: str) -> str:
    """The host of an authority, in ASCII.  Raises PlanError."""
    if written in ("", "[]"):
        raise PlanError("it has no host", hint=_EXAMPLE)
    try:
        if written.startswith("["):
            if ":" not in written:
                raise HostError(f"{written[1:-1]!r} is not an IPv6 address")
            address, percent, zone = written[1:-1].partition("%")
            return ascii_host(address + percent + _decoded(zone.removeprefix("25")))  # RFC 6874: % is %25 in a URL
        return ascii_host(_decoded(written))
    except HostError as error:
        raise PlanError(str(error), hint=error.hint) from error


def _decoded(text: str) -> str:
    if "%" not in text:
        return text
    try:
        return unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError:
        raise HostError("its host is not UTF-8") from None
