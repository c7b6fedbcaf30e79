"""The targets of a run: one web server per VM."""

from __future__ import annotations

import re
from dataclasses import dataclass

from loadgen.model.errors import PlanError

_NOT_IN_A_HOST = re.compile(r"[\s/\\\[\]@?#\x00-\x1f\x7f]")
_IPV6 = re.compile(r"[0-9A-Fa-f:.]+(%.+)?")


def _is_host(text: str) -> bool:
    return not _NOT_IN_A_HOST.search(text) and (":" not in text or _IPV6.fullmatch(text) is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A server that receives load.  Raises PlanError if a value is invalid.

    `weight`: its share of the connections, relative to the other targets.  `tls`: whether to use HTTPS.
    """

    name: str
    host: str
    port: int
    weight: int = 1
    tls: bool = False

    def __post_init__(self) -> None:
        if not self.name or not self.host:
            raise PlanError("a target needs a name and a host")
        if not _is_host(self.host):
            raise PlanError(
                f"target {self.name!r}: host {self.host!r} is not the name or the address of a machine",
                hint="give only the host, like web1.example, 192.0.2.1 or 2001:db8::1; the port is a field of its own",
            )
        if not 1 <= self.port <= 65535:
            raise PlanError(f"target {self.name}: port {self.port} is not in 1..65535")
        if self.weight < 1:
            raise PlanError(f"target {self.name}: weight must be at least 1, got {self.weight}")

    @property
    def host_header(self) -> str:
        """The value of a Host header: without the port if that is the default of the scheme, as clients send it.

        Virtual hosts of some servers are found by the whole value (RFC 9110, sections 4.2.3 and 7.2).
        """
        default = 443 if self.tls else 80
        return self.authority.removesuffix(f":{default}") if self.port == default else self.authority

    @property
    def authority(self) -> str:
        """Host and port, as in a request to open a tunnel (RFC 9110, section 9.3.6)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"
