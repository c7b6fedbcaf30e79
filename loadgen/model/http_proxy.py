"""The HTTP proxy of a plan: its address, and the user name and password that it gets."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes, urlsplit

from loadgen.model.errors import PlanError
from loadgen.model.secrets import mask_url

AUTHORIZATION = "Proxy-Authorization"
"""The header that holds user name and password; the proxy removes it."""

_PORT = 80
_HINT = "write it like http://192.0.2.8:3128, or http://USER:PASSWORD@192.0.2.8:3128"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """`authorization` is the value of the header Proxy-Authorization; "" without a user name."""

    host: str
    port: int
    authorization: str

    @classmethod
    def parse(cls, text: str) -> Proxy:
        """The proxy of a URL like `http://user:password@proxy.example:3128`.

        Characters of user name and password may be written as %XX.  Raises PlanError for any other text.
        """
        problem = PlanError(f"--proxy: {mask_url(text)!r} is not a proxy", hint=_HINT)
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise problem from error
        if parts.scheme == "https" or parts.scheme.startswith("socks"):
            raise PlanError(
                f"--proxy: {mask_url(text)!r} is not a proxy that speaks plain HTTP: {parts.scheme} is not supported",
                hint=f"{_HINT}; such a proxy also forwards https URLs",
            )
        rest = parts.query or parts.fragment or parts.path not in ("", "/")
        if parts.scheme != "http" or not host or rest or port == 0 or not text.isascii() or not text.isprintable():
            raise problem
        name, password = (unquote_to_bytes(part or "") for part in (parts.username, parts.password))
        if b":" in name:
            raise PlanError("--proxy: a user name must not contain a colon (RFC 7617)", hint=_HINT)
        given = parts.username is not None
        basic = f"Basic {b64encode(name + b':' + password).decode()}" if given else ""
        return cls(host=host, port=port or _PORT, authorization=basic)


def check_proxy(text: str, secured: Iterable[str], others: Iterable[str]) -> None:
    """Raise PlanError when a plan cannot have the proxy `text`.

    `secured` are the headers of requests for https URLs, `others` are options that cannot be combined with it.
    """
    Proxy.parse(text)
    for option in others:
        raise PlanError(f"--proxy cannot be combined with {option}", hint="omit one of them")
    for line in secured:
        if line.partition(":")[0].lower() == AUTHORIZATION.lower():
            raise PlanError(
                f"the header {AUTHORIZATION} would go to the server of an https URL, not to the proxy",
                hint="give user name and password with --proxy http://USER:PASSWORD@HOST:PORT",
            )


def with_authorization(headers: tuple[str, ...], proxy: Proxy) -> tuple[str, ...]:
    """The headers of a request that goes to the proxy itself; one that the user gave stays."""
    given = {line.partition(":")[0].lower() for line in headers}
    if not proxy.authorization or AUTHORIZATION.lower() in given:
        return headers
    return (*headers, f"{AUTHORIZATION}: {proxy.authorization}")
