"""Which servers this machine has, and which one a run uses."""

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
"""How each kind is found, in the order in which `auto` prefers them."""


def find_all() -> tuple[WebServer, ...]:
    """The servers of this machine, preferred ones first.  Runs their binaries for the version."""
    return tuple(server for find in KINDS.values() if (server := find()) is not None)


def choose(kind: Server) -> WebServer:
    """The server asked for, or the preferred one for AUTO; raises PlanError when it is not installed."""
    kinds = tuple(KINDS) if kind is Server.AUTO else (kind,)
    server = next((found for k in kinds if (found := KINDS[k]()) is not None), None)
    if server is None:
        packages = {Server.NGINX: "nginx-light", Server.APACHE: "apache2"}
        raise PlanError(
            f"{kind.value} is not installed on this machine",
            hint=f"install it (Debian: apt-get install {packages[kind]}), or use --server builtin",
        )
    return server
