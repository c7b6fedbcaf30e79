"""A `loadgen http` run as it was asked for: requests, where they go, how many and how fast."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from loadgen.model.errors import PlanError
from loadgen.model.plain import from_plain, to_plain
from loadgen.model.plan import OnLoss, Phases
from loadgen.model.sending import check_sending
from loadgen.model.shard import share_out
from loadgen.model.target import Target
from loadgen.model.units import NS_PER_S

MAX_REQUESTS = 100_000
MAX_WEIGHT = 1_000

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_OURS = ("host", "content-length", "transfer-encoding", "expect", "upgrade")
_SAFE_IN_PATH = "/?:@!$&'()*+,;=%[]~-._"


@dataclass(frozen=True, slots=True, kw_only=True)
class Url:
    """An absolute http or https URL in parts; `path` has the query with it, as a request line has it."""

    tls: bool
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, text: str) -> Url:
        """`https://example.org:8443/a?b`.  Raises PlanError when it is none that can be asked for."""
        problem = PlanError(f"{text!r} is not a URL", hint="write it like http://127.0.0.1:8080/path")
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise PlanError(f"{text!r} is not a URL: {error}") from error
        if parts.scheme not in ("http", "https") or not host:
            raise problem
        if parts.username is not None:
            raise PlanError(f"{text!r} holds a user name", hint="give a header: -H 'Authorization: Basic …'")
        if not host.isascii() or any(char <= " " or char == "\x7f" for char in text):
            raise PlanError(f"{text!r} holds characters that a URL cannot", hint="write them as %XX; a host as xn--…")
        tls = parts.scheme == "https"
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if port == 0:
            raise problem
        return cls(tls=tls, host=host, port=port or (443 if tls else 80), path=quote(path, safe=_SAFE_IN_PATH))


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """One request.  `headers` are lines like `Accept: text/html`; `status` 0 takes any of 200 to 399.

    `weight` is how often it is sent, relative to the others.
    """

    url: str
    method: str = "GET"
    headers: tuple[str, ...] = ()
    body: str = ""
    status: int = 0
    weight: int = 1

    def __post_init__(self) -> None:
        Url.parse(self.url)
        if not _TOKEN.fullmatch(self.method):
            raise PlanError(f"{self.method!r} is not a method")
        if self.method in ("HEAD", "CONNECT"):
            raise PlanError(f"{self.method} requests cannot be played", hint="their replies are framed otherwise")
        for line in self.headers:
            name, colon, value = line.partition(":")
            if not colon or not _TOKEN.fullmatch(name) or any(c in value for c in "\r\n\0"):
                raise PlanError(f"{line!r} is not a header", hint="write it like 'Accept: text/html'")
            if name.lower() in _OURS:
                raise PlanError(f"the header {name} is the engine's own", hint="it follows from the URL and the body")
        if self.status and not 200 <= self.status <= 599:
            raise PlanError(f"no reply ends with the status {self.status}", hint="expect one of 200 to 599")
        if not 1 <= self.weight <= MAX_WEIGHT:
            raise PlanError(f"a weight lies between 1 and {MAX_WEIGHT}, got {self.weight}")

    @property
    def name(self) -> str:
        """What people know it by."""
        return f"{self.method} {self.url}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpPlan:
    """A `loadgen http` run.

    `connections` are all of them together, shared out to the targets by the weights of their requests.  With
    `rate_per_s` of 0 each plays request after request (closed loop); otherwise requests are due at that rate
    whatever became of those before (open loop), evenly or as a Poisson process, and more than `max_backlog` of an
    engine's that wait for a connection to the same target are shed.  `sources` are addresses to connect from.
    `slos` are as in loadgen.verdict.slo.  `engine` and `timestamps` are as the engines know them.
    """

    requests: tuple[HttpRequest, ...]
    connections: int = 64
    duration_ns: int = 10 * NS_PER_S
    warmup_ns: int = 0
    rate_per_s: float = 0.0
    poisson: bool = False
    max_backlog: int = 100_000
    timeout_ns: int = 10 * NS_PER_S
    tls_verify: bool = True
    sources: tuple[str, ...] = ()
    slos: tuple[str, ...] = ()
    engine: str = "auto"
    timestamps: str = "auto"
    engines: int = 1
    on_loss: OnLoss = OnLoss.DEGRADE
    seed: int = 1

    def __post_init__(self) -> None:
        if not self.requests:
            raise PlanError("there is no URL to ask for", hint="give one or more, or --requests FILE")
        if len(self.requests) > MAX_REQUESTS:
            raise PlanError(f"{len(self.requests)} requests are too many", hint=f"give up to {MAX_REQUESTS}")
        if not (math.isfinite(self.rate_per_s) and 0 <= self.rate_per_s <= 10_000_000):
            raise PlanError(f"{self.rate_per_s:g} requests a second cannot be played")
        if self.poisson and not self.rate_per_s:
            raise PlanError("--poisson needs a rate", hint="give --rate N/s")
        if self.max_backlog < 0:
            raise PlanError("the backlog must not be negative")
        if self.timeout_ns < 1:
            raise PlanError("the time-out must be positive")
        check_sending(self.engine, self.timestamps, self.sources)
        self._check_connections()
        _ = self.phases  # its own checks

    def _check_connections(self) -> None:
        if not 1 <= self.engines <= self.connections:
            raise PlanError(f"engines must be between 1 and the number of connections, got {self.engines}")
        for target, share in zip(self.targets, self.shares, strict=True):
            if share < (self.engines if self.rate_per_s else 1):
                need = f"each of {self.engines} engines needs one" if self.rate_per_s else "it needs one"
                raise PlanError(
                    f"{target.name} gets {share} of {self.connections} connections, and {need}",
                    hint="give more connections (-c) or fewer engines",
                )

    @property
    def phases(self) -> Phases:
        """Warm-up and one measured window."""
        return Phases(ramp_up_ns=0, warmup_ns=self.warmup_ns, measure_ns=self.duration_ns, ramp_down_ns=0, iterations=1)

    @property
    def targets(self) -> tuple[Target, ...]:
        """The servers that the URLs name, in order, with the weight of all of their requests."""
        weights: dict[tuple[bool, str, int], int] = {}
        for request in self.requests:
            url = Url.parse(request.url)
            key = (url.tls, url.host, url.port)
            weights[key] = weights.get(key, 0) + request.weight
        return tuple(
            Target(
                name=_name(tls, host, port),
                host=host,
                port=port,
                weight=weight,
                tls=tls,
            )
            for (tls, host, port), weight in weights.items()
        )

    @property
    def shares(self) -> list[int]:
        """How many connections each of the targets gets."""
        return share_out(self.connections, [target.weight for target in self.targets])

    def to_dict(self) -> dict[str, Any]:
        """Plain data (for JSON and TOML) that :meth:`from_dict` reads back to an equal plan."""
        data = to_plain(self)
        assert isinstance(data, dict)
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> HttpPlan:
        """A plan from plain data.  Raises PlanError on unknown keys, wrong types and values that cannot be."""
        return from_plain(cls, data)


def _name(tls: bool, host: str, port: int) -> str:
    """How people know a server; one may speak both, on different ports."""
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return f"https://{authority}" if tls else authority
