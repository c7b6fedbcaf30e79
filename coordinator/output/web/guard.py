"""Who may read a page: checks of each request, and the headers of each reply.

A page shows a run to people who can start programs on this machine.  On other addresses than loopback, a reader needs a
token, which the printed URL holds.  A page of another origin must not read it through the reader's browser: the header
Host is checked against DNS rebinding, and no reply allows another origin.
"""

from __future__ import annotations

import hmac
import ipaddress
import logging
import secrets
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from coordinator.output.web.listening import Listening
from coordinator.output.web.words import saying

_TOKEN_BYTES = 24
_QUERY = "token"
_READS = ("GET", "HEAD")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_POLICY_HEADER = "Content-Security-Policy"
_HEADERS = {
    _POLICY_HEADER: POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Server": "loadgen",
}
LOG = logging.getLogger(__name__)
LOG.addHandler(logging.NullHandler())
LOG.propagate = False  # nothing may be written into the live view on the terminal

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Guard:
    """The checks of a site at `port`.

    `names` are the names that the header Host may have beside addresses; None allows all.  `loopback_only` refuses
    other addresses, too.  Without a `token`, none is asked for.
    """

    port: int
    names: frozenset[str] | None
    loopback_only: bool
    token: str = ""

    @classmethod
    def of(cls, listening: Listening, *, with_token: bool, on_loopback: bool = False) -> Guard:
        """The guard of a site that listens there.

        `with_token` asks for a token unless it is a loopback address; there, `on_loopback` does.
        """
        names = frozenset({"localhost", listening.asked.host.lower(), socket.gethostname().lower()})
        loopback = listening.is_loopback
        token = secrets.token_urlsafe(_TOKEN_BYTES) if (on_loopback if loopback else with_token) else ""
        # Without a token, numbers are for everybody, who may know this machine by any name.
        return cls(listening.port, names if loopback or token else None, loopback_only=loopback, token=token)

    def url(self, listening: Listening, path: str = "/") -> str:
        """The URL to print: with the token, if there is one."""
        query = f"?{_QUERY}={self.token}" if self.token else ""
        return f"http://{listening.shown}{path}{query}"

    @property
    def _cookie(self) -> str:
        return f"loadgen_{self.port}"  # browsers send the cookies of all ports of a host

    def is_our_name(self, host: str) -> bool:
        """Whether the header Host names this site, and not a name that somebody else made point to this machine."""
        if self.names is None:
            return True
        bare = host.strip().lower()
        bare = bare[1:].partition("]")[0] if bare.startswith("[") else bare.rpartition(":")[0] or bare
        if bare in self.names:
            return True
        try:
            address = ipaddress.ip_address(bare)
        except ValueError:
            return False
        return address.is_loopback or not self.loopback_only

    def knows(self, given: str | None) -> bool:
        """Whether a reader gave the token.  The time that it takes does not depend on where a wrong one differs."""
        return given is not None and hmac.compare_digest(given.encode("utf-8", "replace"), self.token.encode())

    def admit(self, request: web.Request) -> web.Response | None:
        """The reply to a request that is refused, or sent on; None for one that may be answered."""
        if request.method not in _READS:
            return _refusal(405, "Pages can only be read.", {"Allow": ", ".join(_READS)})
        if not self.is_our_name(request.headers.get("Host", "")):
            return _refusal(421, "The header Host does not name this machine. Open the page by its address.")
        if not self.token or self.knows(request.cookies.get(self._cookie)):
            return None
        if not self.knows(request.query.get(_QUERY)):
            return _refusal(401, "This page needs a token. Open the URL that loadgen printed.")
        rest = request.rel_url.without_query_params(_QUERY)
        sent_on = web.HTTPSeeOther(str(rest))
        reply = web.Response(status=sent_on.status, headers={"Location": str(rest)})
        # Lax: the URL may be clicked in a chat or a mail, and no request changes anything.
        reply.set_cookie(self._cookie, self.token, httponly=True, samesite="Lax", path="/")
        return reply


def guarded(guard: Guard) -> web.Application:
    """An application without pages whose requests the guard checks."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        refused = guard.admit(request)
        if refused is not None:
            return refused
        try:
            return await handler(request)
        except web.HTTPException as error:
            return _refusal(error.status, error.reason)
        except ConnectionError:
            raise
        except Exception as error:  # a bug in a page must not be printed into the live view
            LOG.debug("a page failed", exc_info=error)
            return _refusal(500, f"This page cannot be made: {type(error).__name__}: {error}")

    app = web.Application(middlewares=[check], logger=LOG)
    app.on_response_prepare.append(_add_headers)
    return app


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    own = response.headers.get(_POLICY_HEADER)
    response.headers.update(_HEADERS)
    if own is not None:
        response.headers[_POLICY_HEADER] = own


def _refusal(status: int, why: str, headers: dict[str, str] | None = None) -> web.Response:
    reply = saying(str(status), why, link="", status=status)
    reply.headers.update(headers or {})
    return reply
