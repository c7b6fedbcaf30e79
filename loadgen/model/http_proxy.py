"""The HTTP proxy of a plan: its address, and the user name and password that it gets."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from loadgen.model.errors import PlanError
from loadgen.model.secrets import mask_url
from loadgen.model.url import Url

AUTHORIZATION = "Proxy-Authorization"
"""The header that holds user name and password; the proxy removes it."""

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
        scheme, mark, _ = text.partition("://")
        if mark and scheme.lower() != "http":
            raise PlanError(
                f"--proxy: {mask_url(text)!r} is not a proxy that speaks plain HTTP: {scheme} is not supported",
                hint=f"{_HINT}; such a proxy also forwards https URLs",
            )
        if not mark and "@" in text:  # what masks secrets in texts would not find it
            raise PlanError("--proxy: a URL with a user name must begin with http://", hint=_HINT)
        try:
            url = Url.parse(text)
        except PlanError as error:
            raise PlanError(f"--proxy: {mask_url(error.message)}", hint=_HINT) from None
        if url.path != "/":
            raise PlanError(f"--proxy: {mask_url(text)!r} is not a proxy", hint=_HINT)
        if "%3a" in url.user.partition(":")[0].lower():
            raise PlanError("--proxy: a user name must not contain a colon (RFC 7617)", hint=_HINT)
        basic = f"Basic {b64encode(url.credentials).decode()}" if url.user else ""
        return cls(host=url.host, port=url.port, authorization=basic)


def check_proxy(text: str, secured: Iterable[str], others: Mapping[str, object]) -> None:
    """Raise PlanError when a plan cannot have the proxy `text`.

    `secured` are the headers of requests for https URLs; `others`: options that go with none, if they are set.
    """
    Proxy.parse(text)
    for option, given in others.items():
        if given:
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
