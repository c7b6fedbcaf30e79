"""The targets of a run: one web server per VM."""

from __future__ import annotations

from dataclasses import dataclass

from loadgen.model.errors import PlanError
from loadgen.model.hostname import HostError, ascii_host, without_zone


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A server that receives load.  Raises PlanError if a value is invalid.

    `host` becomes ASCII (`xn--…`).
    `weight`: its share of the connections, relative to the other targets.  `tls`: whether to use HTTPS.
    """

    name: str
    host: str
    port: int
    weight: int = 1
    tls: bool = False

    def __post_init__(self) -> None:
        if not self.name or not self.host:
            raise PlanError(f"a target needs a name and a host, got name {self.name!r} and host {self.host!r}")
        try:
            object.__setattr__(self, "host", ascii_host(self.host))
        except HostError as error:
            raise PlanError(
                f"target {self.name!r}: host {self.host!r} is not the name or the address of a machine: {error}",
                hint=f"{error.hint}; the port is a field of its own",
            ) from error
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
        host = f"[{without_zone(self.host)}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def server_name(self) -> str:
        """The host as certificates and the SNI extension of TLS name it: without a zone or the dot at the end."""
        return without_zone(self.host).removesuffix(".")
