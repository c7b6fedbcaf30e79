"""The plan of a `loadgen http` run: requests, connections, rate and durations."""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import dataclass
from typing import Any

from loadgen.model.connect_to import ConnectTo, dialed
from loadgen.model.data_file import NO_DATA, DataFile
from loadgen.model.derived import Remembering, once
from loadgen.model.errors import PlanError
from loadgen.model.http2 import check_http2
from loadgen.model.http_proxy import Proxy, check_proxy
from loadgen.model.http_request import HttpRequest, plain_requests, targets_of, with_braces
from loadgen.model.http_values import check_names, check_places
from loadgen.model.plain import check_types, from_plain, to_plain
from loadgen.model.plan import OnLoss, Phases
from loadgen.model.sending import (
    EngineKind,
    IpVersion,
    Resolve,
    Timestamps,
    check_engines,
    check_sending,
    check_timeout,
)
from loadgen.model.shard import share_out
from loadgen.model.stages import Stage, check_stages, mean_per_s
from loadgen.model.target import Target
from loadgen.model.units import NS_PER_S, format_duration

MAX_REQUESTS = 100_000
MAX_RATE_PER_S = 10_000_000
MAX_TOTAL = 10**15
MAX_REDIRECTS = 50

_COUNTED_DURATION_NS = 3600 * NS_PER_S  # the limit of a run with a given number of requests
_CONNECTIONS = 64

_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpPlan:
    """A `loadgen http` run.

    `connections` is the number of all connections; each target gets a share by the weights of its requests.  With a
    `rate_per_s` of 0, each connection sends request after request (closed loop).  Otherwise requests are due at that
    rate, whether or not earlier ones were answered (open loop): at even intervals, or as a Poisson process.  When more
    than `max_backlog` requests of an engine wait for a connection to one target, further ones are shed.
    `resolve` and `ip_version` choose among the addresses of a name.
    `keepalive`: whether TCP connections are kept for further requests, or each request has its own.
    `total_requests` is the exact number of requests, after which the run ends; 0 for as many as the duration allows.
    `timeout_ns` is the longest silence of a server, `max_time_ns` the longest time of a whole request (0: no limit).
    `tls_ca`, `tls_cert` and `tls_key` are PEM files, "" for none; `tls_name` is the server name that is sent and
    verified, "" for the host of the URL; `tls_resume`: connections that are opened again resume their TLS session.
    `connect_to` are rules as in loadgen.model.connect_to.  `follow` is the largest number of redirects of a request
    that are followed before the run; 0 to follow none.  `proxy` is the URL of an HTTP proxy that all requests go to.
    `sources` are the addresses to connect from; with none, the kernel chooses.  `slos` are objectives as in
    loadgen.verdict.slo.  `http2`: HTTP/2 instead of HTTP/1.1, with `streams` requests at once on each connection.
    `canary`: each engine has a canary (loadgen.engine.canary).  `engines` is the number of engine processes on this
    machine; load machines of a fleet have their own number.  `data` is the file whose rows give values to requests.
    With `stages`, requests are due at rates that change; `duration_ns` and `rate_per_s` are then their length and mean.
    """

    requests: tuple[HttpRequest, ...]
    connections: int = _CONNECTIONS
    total_requests: int = 0
    duration_ns: int = 10 * NS_PER_S
    warmup_ns: int = 0
    rate_per_s: float = 0.0
    poisson: bool = False
    max_backlog: int = 100_000
    timeout_ns: int = 10 * NS_PER_S
    max_time_ns: int = 0
    tls_verify: bool = True
    resolve: Resolve = Resolve.ALL
    ip_version: IpVersion = IpVersion.ANY
    http2: bool = False
    streams: int = 1
    tls_ca: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    tls_name: str = ""
    tls_resume: bool = False
    keepalive: bool = True
    connect_to: tuple[str, ...] = ()
    follow: int = 0
    proxy: str = ""
    sources: tuple[str, ...] = ()
    slos: tuple[str, ...] = ()
    engine: EngineKind = EngineKind.AUTO
    timestamps: Timestamps = Timestamps.AUTO
    canary: bool = True
    engines: int = 1
    on_loss: OnLoss = OnLoss.DEGRADE
    seed: int = 1
    data: DataFile = NO_DATA
    stages: tuple[Stage, ...] = ()

    def __post_init__(self) -> None:
        check_types(self)
        object.__setattr__(self, "requests", Remembering.of(self.requests))
        if self.stages:
            check_stages(self.stages, MAX_RATE_PER_S)
            if self.warmup_ns:
                raise PlanError(
                    f"stages allow no warm-up, got one of {format_duration(self.warmup_ns)}",
                    hint="leave out the warm-up, or make the first stage the warm-up",
                )
            object.__setattr__(self, "duration_ns", sum(stage.duration_ns for stage in self.stages))
            object.__setattr__(self, "rate_per_s", mean_per_s(self.stages))
        if not self.requests:
            raise PlanError("no URL is given", hint="give one or more URLs, --requests FILE, or --plan FILE")
        if len(self.requests) > MAX_REQUESTS:
            raise PlanError(f"the number of requests must be 1 to {MAX_REQUESTS}, got {len(self.requests)}")
        if not (math.isfinite(self.rate_per_s) and 0 <= self.rate_per_s <= MAX_RATE_PER_S):
            raise PlanError(f"the rate must be 0 to {MAX_RATE_PER_S:,}/s, got {self.rate_per_s:g}/s")
        if self.poisson and not self.rate_per_s:
            raise PlanError("--poisson needs a rate", hint="give --rate N/s")
        if self.max_backlog < 0:
            raise PlanError(f"the backlog (--max-backlog) must be at least 0, got {self.max_backlog}")
        check_timeout(self.timeout_ns)
        check_sending(self.engine, self.timestamps, self.sources)
        others = {"--no-keepalive": not self.keepalive, "--proxy": self.proxy}
        check_http2(self.streams, self.engine, others, http2=self.http2)
        if self.max_time_ns < 0:
            raise PlanError(
                f"the longest time of a request (-t) must be more than 0s, got {format_duration(self.max_time_ns)}",
                hint="leave it out for no limit",
            )
        self._check_tls()
        if self.proxy:
            secured = (line for one in self.requests if one.headers and one.server[0] for line in one.headers)
            check_proxy(self.proxy, secured, {"--connect-to": self.connect_to})
        if not 0 <= self.follow <= MAX_REDIRECTS:
            raise PlanError(f"the number of redirects must be 0 to {MAX_REDIRECTS}, got {self.follow}")
        for text in self.connect_to:
            if not any(ConnectTo.parse(text).fits(target) for target in self.targets) and not self.follow:
                raise PlanError(f"--connect-to {text}: no URL has this host and port", hint="write them as in the URL")
        self._check_keepalive()
        self._check_connections()
        self._check_total()
        _ = self.phases  # Phases checks the durations

    def check_values(self) -> None:
        """Raise PlanError when a placeholder is malformed, stands where none can stand, or names an unknown value."""
        if self.follow and any("{{" in request.url for _, request in once(self.requests, with_braces)):
            raise PlanError("-L cannot follow a URL that differs by request", hint="give the last URL of each redirect")
        for number, request in once(self.requests, with_braces):
            try:
                check_places(request.url, request.headers)
                check_names(request.values, self.data.columns, self.data.file)
            except PlanError as error:
                where = f"request {number}: " if len(self.requests) > 1 else ""
                raise PlanError(f"{where}{error.message}", hint=error.hint) from error

    def _check_connections(self) -> None:
        if self.connections < 1:
            raise PlanError(f"connections must be at least 1, got {self.connections}")
        check_engines(self.engines, self.connections)
        for target, share in zip(self.targets, self.shares, strict=True):
            if share < (self.engines if self.rate_per_s else 1):
                need = f"each of {self.engines} engines needs one" if self.rate_per_s else "needs at least one"
                raise PlanError(
                    f"{target.name} gets {share} of {self.connections} connections, but {need}",
                    hint="give more connections (-c) or fewer engines",
                )

    def _check_tls(self) -> None:
        given = [name for name in ("ca", "cert", "key", "name", "resume") if getattr(self, f"tls_{name}")]
        if given and not any(target.tls for target in self.targets):
            option = {"ca": "--cacert", "name": "--sni", "resume": "--tls-resume"}.get(given[0], f"--{given[0]}")
            raise PlanError(f"{option} needs a URL with https", hint="write https://…, or omit the option")
        if self.tls_ca and not self.tls_verify:
            raise PlanError("--cacert has no effect with --insecure (-k)", hint="omit one of them")
        if self.tls_key and not self.tls_cert:
            raise PlanError("--key needs a certificate", hint="give --cert FILE")
        if self.tls_name and (not self.tls_name.isascii() or not _NAME.fullmatch(self.tls_name)):
            raise PlanError(
                f"--sni: {self.tls_name!r} is not the name of a server", hint="write it like www.example.org"
            )

    def _check_keepalive(self) -> None:
        for request in () if self.keepalive else self.requests:
            if request.keeps:
                line = next(line for line in request.headers if line.partition(":")[0].lower() == "connection")
                raise PlanError(f"--no-keepalive contradicts the header {line!r}", hint="omit one of them")

    def _check_total(self) -> None:
        if not self.total_requests:
            return
        if not self.connections <= self.total_requests <= MAX_TOTAL:
            raise PlanError(
                f"{self.total_requests} requests (-n) cannot be shared by {self.connections} connections (-c)"
                if 0 < self.total_requests < self.connections
                else f"the number of requests (-n) must be 1 to {MAX_TOTAL:,}, got {self.total_requests}",
                hint="give at least one request per connection",
            )
        if self.warmup_ns:
            raise PlanError(
                "a number of requests (-n) cannot be combined with a warm-up",
                hint="omit --warmup: -n counts every request",
            )

    @property
    def phases(self) -> Phases:
        """The phases of the run: a warm-up and one measured window."""
        return Phases(ramp_up_ns=0, warmup_ns=self.warmup_ns, measure_ns=self.duration_ns, ramp_down_ns=0, iterations=1)

    @property
    def targets(self) -> tuple[Target, ...]:
        """The servers that the URLs name, in order; the weight of each is the sum of its requests' weights."""
        return once(self.requests, targets_of)

    def dialed_of(self, target: Target) -> Target:
        """`target` with the host and port that its connections go to."""
        if self.proxy:
            proxy = Proxy.parse(self.proxy)
            return dataclasses.replace(target, host=proxy.host, port=proxy.port)
        return dialed(target, tuple(map(ConnectTo.parse, self.connect_to)))

    @property
    def dialed(self) -> tuple[Target, ...]:
        """The targets with the hosts and ports that their connections go to."""
        return tuple(map(self.dialed_of, self.targets))

    @property
    def shares(self) -> list[int]:
        """The number of connections to each target."""
        return share_out(self.connections, [target.weight for target in self.targets])

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain data (for JSON and TOML); :meth:`from_dict` reads it back to an equal plan."""
        left_out = {name for name in ("canary", *_LATER) if getattr(self, name) == _DEFAULTS[name]}
        rest = {
            name: to_plain(getattr(self, name))
            for name in _DEFAULTS
            if name != "requests" and name not in left_out  # plans of version 0.1 have no such field
        }
        return {"requests": once(self.requests, plain_requests), **rest}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> HttpPlan:
        """The plan that plain data describes.

        With a number of requests, an hour is the default of the duration, and there are at most as many connections.
        Raises PlanError for an unknown key, a wrong type or a value that is not allowed.
        """
        total = data.get("total_requests")
        if isinstance(total, int) and total > 0:
            data = {"duration_ns": _COUNTED_DURATION_NS, "connections": min(_CONNECTIONS, total), **data}
        return from_plain(cls, data)


_LATER = (
    "http2",
    "streams",
    "data",
    "stages",
    "total_requests",
    "keepalive",
    "max_time_ns",
    "tls_ca",
    "tls_cert",
    "tls_key",
    "tls_name",
    "connect_to",
    "follow",
    "resolve",
    "ip_version",
    "tls_resume",
    "proxy",
)
"""Fields that are written only when they are set."""

_DEFAULTS = {field.name: field.default for field in dataclasses.fields(HttpPlan)}
