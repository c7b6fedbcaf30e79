"""One HTTP request, and what follows from the requests of a plan.

The functions of a tuple of requests are passed to :func:`loadgen.model.derived.once`.
"""

from __future__ import annotations

import dataclasses
import re
from base64 import b64decode
from dataclasses import dataclass
from typing import Any

from loadgen.model.derived import Plain
from loadgen.model.errors import PlanError
from loadgen.model.http_values import Value, tokens_for, values_in
from loadgen.model.plain import to_plain
from loadgen.model.secrets import mask_url
from loadgen.model.statuses import parse_statuses
from loadgen.model.target import Target
from loadgen.model.url import complete, server_of, split_url

MAX_WEIGHT = 1_000
MANY = 1_000
"""Plans of more requests are written without the fields of requests that have their default: they may have 100,000."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_NOT_IN_A_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")  # RFC 9110, 5.5
_OURS = ("content-length", "transfer-encoding", "expect", "upgrade")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """One request.

    A `url` without a scheme becomes an http URL.
    `headers` are lines like `Accept: text/html`; a Host line replaces that of the URL.  `status` is the expected
    status, or `expect` are the expected statuses like `200,204,3xx`; with neither, any of 200 to 399 is accepted.
    `body_base64` is a body that is not text, instead of `body`.
    `weight` is how often the request is sent, relative to the other requests.
    """

    url: str
    method: str = "GET"
    headers: tuple[str, ...] = ()
    body: str = ""
    body_base64: str = ""
    status: int = 0
    weight: int = 1
    expect: str = ""

    def __post_init__(self) -> None:
        _ = self.split_url  # checks the URL
        if not self.url.startswith(("http://", "https://")):
            object.__setattr__(self, "url", complete(self.url))
        if self.method != "GET" and not _TOKEN.fullmatch(self.method):
            raise PlanError(f"{self.method!r} is not an HTTP method")
        if self.method == "CONNECT":
            raise PlanError("CONNECT requests are not supported", hint="use GET, POST, PUT or another method")
        if self.method == "HEAD" and self.body:
            raise PlanError("a HEAD request has no body", hint="omit the body, or use another method")
        for line in self.headers:
            name, colon, value = line.partition(":")
            if not colon or not _TOKEN.fullmatch(name):
                raise PlanError(f"{line!r} is not a header", hint="write it like 'Accept: text/html'")
            if wrong := _NOT_IN_A_VALUE.search(value):
                raise PlanError(f"{line!r} is not a header: its value must not contain {wrong[0]!r}")
            if name.lower() in _OURS:
                raise PlanError(f"the header {name} cannot be set", hint="it follows from the URL and the body")
        if self.body_base64:
            self._check_body()
        if self.headers and self.own_hosts > 1:
            raise PlanError("the header Host is given twice", hint="keep one of them")
        if self.status and not 200 <= self.status <= 599:
            raise PlanError(f"the expected status must be 200 to 599, got {self.status}")
        if self.status and self.expect:
            raise PlanError(f"status {self.status} and expect {self.expect!r} are both given", hint="give one of them")
        if self.expect:
            parse_statuses(self.expect)
        if not 1 <= self.weight <= MAX_WEIGHT:
            raise PlanError(f"the weight must be 1 to {MAX_WEIGHT}, got {self.weight}")

    def _check_body(self) -> None:
        if self.body:
            raise PlanError("body and body_base64 are both given", hint="give one of them")
        try:
            self.content  # noqa: B018 - whether it can be decoded
        except ValueError as error:
            raise PlanError(f"body_base64 is not base64: {error}") from error

    @property
    def content(self) -> bytes:
        """The body as it is sent."""
        return b64decode(self.body_base64, validate=True) if self.body_base64 else self.body.encode()

    @property
    def split_url(self) -> tuple[tuple[bool, str, int, str], str]:
        """The URL as :func:`split_url` has it, with tokens in the place of placeholders (loadgen.model.http_values)."""
        if "{{" not in self.url:
            return split_url(self.url)
        try:
            return split_url(tokens_for(self.url))
        except PlanError:  # braces mean nothing in a record of version 0.1; a new plan is checked by `check_values`
            return split_url(self.url)

    @property
    def server(self) -> tuple[bool, str, int]:
        """Whether the URL has TLS, and its host and port."""
        if "{{" not in self.url:
            return server_of(self.url)
        return self.split_url[0][:3]

    @property
    def has_braces(self) -> bool:
        """Whether any text of the request has two braces, so that it may have placeholders."""
        return "{{" in self.url or "{{" in self.body or any("{{" in line for line in self.headers)

    @property
    def values(self) -> tuple[Value, ...]:
        """The placeholders of the request.  Raises PlanError for a malformed one."""
        return tuple(values_in(self.url, *self.headers, self.body))

    @property
    def own_hosts(self) -> int:
        """The number of Host lines among the headers."""
        return sum(line.partition(":")[0].lower() == "host" for line in self.headers)

    @property
    def closes(self) -> bool:
        """Whether the headers ask to close the connection: fields of one name are one list of words (RFC 9110, 5.3)."""
        return "close" in self._connection

    @property
    def keeps(self) -> bool:
        """Whether the headers say something of the connection, and do not ask to close it."""
        return bool(self._connection) and not self.closes

    @property
    def _connection(self) -> list[str]:
        fields = (line.lower().partition(":") for line in self.headers)
        return [word.strip() for name, _, value in fields if name == "connection" for word in value.split(",")]

    @property
    def name(self) -> str:
        """The request as reports show it, like `GET http://192.0.2.7/`; without secrets."""
        return f"{self.method} {mask_url(self.url)}"


_DEFAULTS = tuple((field.name, field.default) for field in dataclasses.fields(HttpRequest) if field.name != "url")


def targets_of(requests: tuple[HttpRequest, ...]) -> tuple[Target, ...]:
    """The servers that the URLs name, in order; the weight of each is the sum of its requests' weights."""
    weights: dict[tuple[bool, str, int], int] = {}
    for request in requests:
        key = request.server
        weights[key] = weights.get(key, 0) + request.weight
    return tuple(
        Target(name=_name(tls, host, port), host=host, port=port, weight=weight, tls=tls)
        for (tls, host, port), weight in weights.items()
    )


def plain_requests(requests: tuple[HttpRequest, ...]) -> Plain[dict[str, Any]]:
    """The requests as plain data; of more than MANY, each without the fields that have their default."""
    if len(requests) > MANY:
        return Plain(
            {"url": one.url}
            | {name: to_plain(new) for name, usual in _DEFAULTS if (new := getattr(one, name)) != usual}
            for one in requests
        )
    plain = Plain(map(to_plain, requests))
    for one in plain:
        for name in ("expect", "body_base64"):
            if not one[name]:
                del one[name]  # plans of version 0.1 have no such field
    return plain


def with_braces(requests: tuple[HttpRequest, ...]) -> tuple[tuple[int, HttpRequest], ...]:
    """The requests that may have placeholders, with their numbers from 1 on.  Pass it to :func:`once`."""
    return tuple((number, request) for number, request in enumerate(requests, start=1) if request.has_braces)


def _name(tls: bool, host: str, port: int) -> str:
    """The name of a server in reports; HTTPS is said, because one host may serve both on different ports."""
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return f"https://{authority}" if tls else authority
