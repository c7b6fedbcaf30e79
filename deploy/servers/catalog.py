"""Finds the web servers of this machine, and chooses the one that a run uses."""

from __future__ import annotations

from collections.abc import Callable

from deploy.servers import apache, builtin, nginx
from deploy.servers.base import WebServer
from loadgen.model.errors import PlanError
from loadgen.model.plan import Server

KINDS: dict[Server, Callable[[], WebServer | None]] = {
    Server.NGINX: nginx.find,
    Server.APACHE: apache.find,
    Server.BUILTIN: builtin.find,
}
"""The function that finds each kind, in the order of preference of `auto`."""


def find_all() -> tuple[WebServer, ...]:
    """The servers of this machine, the preferred ones first.  Runs their binaries to get the versions."""
    return tuple(server for find in KINDS.values() if (server := find()) is not None)


def choose(kind: Server) -> WebServer:
    """A server of that kind, or the preferred one for AUTO; raises PlanError when it is not installed."""
    kinds = tuple(KINDS) if kind is Server.AUTO else (kind,)
    server = next((found for k in kinds if (found := KINDS[k]()) is not None), None)
    if server is None:
        packages = {Server.NGINX: "nginx-light", Server.APACHE: "apache2"}
        raise PlanError(
            f"{kind.value} is not installed on this machine",
            hint=f"install it (Debian: apt-get install {packages[kind]}), or use --server builtin",
        )
    return server
