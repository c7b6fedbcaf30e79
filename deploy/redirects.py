"""Follows the redirects of requests once, before a run: each hop becomes a request of its own.

Engines play data, so they cannot follow what a reply says.  A chain that is known before the run is played by both
engines, and each hop is counted and shown.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import ssl
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urldefrag, urljoin

from deploy.tunnels import enter_tunnel_now
from loadgen.engine.tls import client_context
from loadgen.engine.tunnel import TunnelError, tunnel_request
from loadgen.model.errors import PlanError, TargetError
from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_proxy import Proxy, with_authorization
from loadgen.model.http_request import HttpRequest
from loadgen.model.secrets import mask_url
from loadgen.model.target import Target
from loadgen.model.tls import TlsSettings
from loadgen.model.url import Url

_TIMEOUT_S = 10.0
_REDIRECTS = (301, 302, 303, 307, 308)
_PRIVATE = ("authorization", "cookie", "host", "proxy-authorization")

Ask = Callable[[HttpRequest], tuple[int, str]]
"""Sends a request once, and returns the status and the Location of its reply.  Raises OSError or HTTPException."""


def followed(plan: HttpPlan, settings: TlsSettings) -> tuple[HttpPlan, tuple[str, ...]]:
    """The plan with a request for each hop, which expects the status that the hop had; and a line for each redirect.

    Raises TargetError when a server does not answer, or when a chain is longer than `plan.follow` redirects.
    """
    return follow(plan, lambda request: _ask(plan, settings, request))


def follow(plan: HttpPlan, ask: Ask) -> tuple[HttpPlan, tuple[str, ...]]:
    """See :func:`followed`."""
    hops: list[HttpRequest] = []
    told: list[str] = []
    for request in plan.requests:
        chain = _chain(request, plan.follow, ask)
        hops += chain
        told += [
            f"{one.name} redirects (status {one.status}) to {after.name}: both are sent, and counted as two requests."
            for one, after in itertools.pairwise(chain)
        ]
    return replace(plan, requests=tuple(hops), follow=0), tuple(told)


def _chain(request: HttpRequest, most: int, ask: Ask) -> list[HttpRequest]:
    chain: list[HttpRequest] = []
    here = request
    while True:
        try:
            status, location = ask(here)
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            hint = error.hint if isinstance(error, TunnelError) else ""
            raise TargetError(f"{here.name}: the redirects cannot be followed: {why}", hint=hint) from error
        if status not in _REDIRECTS or not location:
            return [*chain, here]
        chain.append(replace(here, status=status, expect=""))
        if len(chain) > most:
            raise TargetError(
                f"{request.name}: more than {most} redirects, the last one to {mask_url(location)}",
                hint="give --max-redirects N, or the URL that is meant",
            )
        here = _next(here, request, status, location)


def _next(here: HttpRequest, first: HttpRequest, status: int, location: str) -> HttpRequest:
    """The request after a redirect (RFC 9110, 15.4): 303 becomes GET, and so do 301 and 302 after POST."""
    url = urldefrag(urljoin(here.url, location)).url
    try:
        new, old = Url.parse(url), Url.parse(here.url)
    except PlanError as error:
        raise TargetError(f"{here.name}: it redirects to {mask_url(location)!r}, which cannot be requested") from error
    same = (new.tls, new.host, new.port) == (old.tls, old.host, old.port)
    headers = tuple(line for line in here.headers if same or line.partition(":")[0].lower() not in _PRIVATE)
    becomes_get = (status == 303 and here.method != "HEAD") or (status in (301, 302) and here.method == "POST")
    if becomes_get:
        here = replace(here, method="GET", body="", body_base64="")
    if becomes_get:
        headers = tuple(line for line in headers if not line.lower().startswith("content-"))
    return replace(here, url=url, headers=headers, status=first.status, expect=first.expect)


def _ask(plan: HttpPlan, settings: TlsSettings, request: HttpRequest) -> tuple[int, str]:
    url = Url.parse(request.url)
    server = Target(name=request.name, host=url.host, port=url.port, tls=url.tls)
    target = plan.dialed_of(server)
    headers, place = request.headers, url.path
    if plan.proxy and not url.tls:
        headers = with_authorization(headers, Proxy.parse(plan.proxy))
        place = f"http://{server.host_header}{url.path}"
    connection: http.client.HTTPConnection
    if url.tls:
        context = client_context(verify=plan.tls_verify, settings=settings)
        tunnel = tunnel_request(server.authority, settings.proxy_authorization) if settings.tunnel else b""
        connection = _Named(target.host, target.port, settings.name or server.server_name, context, tunnel)
    else:
        connection = http.client.HTTPConnection(target.host, target.port, timeout=_TIMEOUT_S)
    with contextlib.closing(connection):
        lines = [(name, value.strip()) for name, _, value in (line.partition(":") for line in headers)]
        own = {name.lower() for name, _ in lines}
        connection.putrequest(request.method, place, skip_host=True, skip_accept_encoding=True)
        if "host" not in own:
            lines.insert(0, ("Host", server.host_header))
        if url.user and "authorization" not in own:
            lines.append(("Authorization", f"Basic {b64encode(url.credentials).decode()}"))
        body = request.content
        if body or request.method in ("POST", "PUT", "PATCH"):
            lines.append(("Content-Length", str(len(body))))
        for name, value in lines:
            connection.putheader(name, value.encode("utf-8"))
        connection.endheaders(body or None)
        reply = connection.getresponse()
        return reply.status, (reply.getheader("Location") or "").encode("latin-1", "replace").decode("utf-8", "replace")


class _Named(http.client.HTTPSConnection):
    """A connection to one host that verifies the name of another one; `tunnel` is the request for one, or empty."""

    def __init__(self, host: str, port: int, name: str, context: ssl.SSLContext, tunnel: bytes) -> None:
        super().__init__(host, port, timeout=_TIMEOUT_S, context=context)
        self._name = name
        self._secure = context
        self._request = tunnel

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        if self._request:
            enter_tunnel_now(self.sock, self._request)
        self.sock = self._secure.wrap_socket(self.sock, server_hostname=self._name)
