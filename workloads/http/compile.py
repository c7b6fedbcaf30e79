"""Compiles the requests of a plan to a tape: one ring of rows per target; an open loop plays all rows in one order."""

from __future__ import annotations

import dataclasses
import math
from base64 import b64encode
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from loadgen.model.http2 import slots_of
from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_proxy import Proxy, with_authorization
from loadgen.model.http_request import HttpRequest
from loadgen.model.http_values import tokens_for
from loadgen.model.statuses import parse_statuses
from loadgen.model.url import credentials_of, split_url
from loadgen.schedule.optape import (
    CHECK_DTYPE,
    CLOSE_AFTER,
    FIRST_STATUS_SET,
    KEEP_ALIVE,
    NO_BODY,
    OP_DTYPE,
    OWN_HOST,
    START_DTYPE,
    OpTape,
    StringsBuilder,
    status_sets,
)
from workloads.api import Counting
from workloads.http.data import rows_of
from workloads.http.values import Templates

MAX_KINDS = 32
"""Up to this many different requests are counted separately; more requests are counted together."""

GROUPS = ("all",)
"""The only group of operations."""

_WITH_BODY = ("POST", "PUT", "PATCH")
_Key = tuple[str, tuple[str, ...], str, str, str, int, str]


def compile_http(plan: HttpPlan) -> OpTape:
    """The tape of `plan`: each request as often as its weight says, evenly distributed.

    The status and the framing of replies are checked; their content is not.  Raises PlanError when the plan's data file
    has changed, or has a value that cannot stand where it is asked for.
    """
    plan.check_values()
    plan = _with_authorization(plan)
    templates = Templates(rows_of(plan.data) if plan.data.file else None, plan.data.file)
    strings = StringsBuilder()
    order = _interleave([request.weight for request in plan.requests])
    by_request = np.zeros(len(plan.requests), OP_DTYPE)
    targets = plan.targets
    index = {(target.tls, target.host, target.port): at for at, target in enumerate(targets)}
    sets: dict[frozenset[int], int] = {}
    alike: dict[_Key, tuple[bytes, str, int, int]] = {}  # by what they follow from: most requests of a plan are alike
    rows = []
    for request in plan.requests:
        marked = _with_tokens(request)
        (tls, host, port, user), path = split_url(marked.url)
        key = (marked.method, marked.headers, marked.body, marked.body_base64, user, marked.status, marked.expect)
        if key not in alike:
            flags = CLOSE_AFTER if request.closes or not plan.keepalive else KEEP_ALIVE
            flags |= (NO_BODY if request.method == "HEAD" else 0) | (OWN_HOST if request.own_hosts else 0)
            rest = _rest(marked, credentials_of(user), keepalive=plan.keepalive)
            alike[key] = rest, _own_host(marked), flags, _status(request, sets)
        rest, own_host, flags, status = alike[key]
        if plan.proxy and not tls:
            path = _whole(host, port, path)
        line, at, template = f"{marked.method} {path} HTTP/1.1\r\n{own_host}".encode(), 0, 0
        if marked is request:
            at = strings.add(rest)
        else:
            template = templates.add(line, rest, own_host=bool(request.own_hosts))
        rows.append((strings.add(line), at, template, index[tls, host, port], flags, status))
    names = ("line", "rest", "template", "target", "flags", "status")
    for name, column in zip(names, zip(*rows, strict=True), strict=True):
        by_request[name] = column
    if len(plan.requests) <= MAX_KINDS:
        by_request["kind"] = np.arange(len(plan.requests))
    ops = by_request[order]
    by_target = np.argsort(ops["target"], kind="stable")
    rings = np.split(by_target, np.cumsum(np.bincount(ops["target"], minlength=len(targets)))[:-1])
    for ring in rings:
        ops["next"][ring] = np.roll(ring, -1)
    checks = np.zeros(1, CHECK_DTYPE)
    checks["content_bytes"] = checks["literal_at"] = -1
    categories = counting(plan)
    return OpTape(
        ops=ops,
        checks=checks,
        strings=strings.build(),
        starts=_starts(rings, slots_of(plan.shares, plan.streams)),
        kinds=categories.kinds,
        groups=categories.groups,
        kind_shares=categories.kind_shares,
        values=templates.build(seed=plan.seed, turn=len(ops) > 1),
        status_sets=status_sets(sets),
    )


def counting(plan: HttpPlan) -> Counting:
    """The categories of the plan's operations: its requests, or a single kind when they are more than MAX_KINDS.

    The shares of the kinds are the weights of the requests.
    """
    if len(plan.requests) > MAX_KINDS:
        return Counting(kinds=("all requests",), groups=GROUPS, kind_shares=(1.0,))
    weights = np.array([request.weight for request in plan.requests])
    names = tuple(request.name for request in plan.requests)
    return Counting(kinds=names, groups=GROUPS, kind_shares=tuple((weights / weights.sum()).tolist()))


def _interleave(weights: Sequence[int]) -> NDArray[np.int64]:
    """The numbers 0, 1, …, each as often as its weight (divided by the common divisor) says, evenly distributed."""
    counts = np.array(weights) // math.gcd(*weights)
    number = np.repeat(np.arange(len(counts)), counts)
    turn = np.arange(len(number)) - np.repeat(np.cumsum(counts) - counts, counts)
    order: NDArray[np.int64] = number[np.lexsort((number, (turn + 0.5) / counts[number]))]
    return order


def _starts(rings: Sequence[NDArray[np.int64]], shares: Sequence[int]) -> NDArray[np.void]:
    """The connections of each target start at rows that are evenly distributed over its ring, all without delay."""
    starts = np.zeros((1, sum(shares)), START_DTYPE)
    starts["row"] = np.concatenate(
        [ring[np.arange(share) * len(ring) // share] for ring, share in zip(rings, shares, strict=True)]
    )
    return starts


def _with_tokens(request: HttpRequest) -> HttpRequest:
    """The request with tokens in the place of placeholders; the same request without any braces."""
    if not request.has_braces:
        return request
    return dataclasses.replace(
        request,
        url=tokens_for(request.url),
        headers=tuple(tokens_for(line) for line in request.headers),
        body=tokens_for(request.body),
    )


def _with_authorization(plan: HttpPlan) -> HttpPlan:
    """The plan whose requests for http URLs have the user name and the password of the proxy, if there are any."""
    proxy = Proxy.parse(plan.proxy) if plan.proxy else None
    if proxy is None or not proxy.authorization:
        return plan
    requests = (
        request
        if request.server[0]
        else dataclasses.replace(request, headers=with_authorization(request.headers, proxy))
        for request in plan.requests
    )
    return dataclasses.replace(plan, requests=tuple(requests))


def _whole(host: str, port: int, path: str) -> str:
    """The whole URL, which a proxy gets in the request line (RFC 9112, 3.2.2)."""
    host = f"[{host}]" if ":" in host else host
    return f"http://{host}{'' if port == 80 else f':{port}'}{path}"


def _own_host(request: HttpRequest) -> str:
    """The own Host line of the request; "" without one."""
    return "".join(f"Host: {value.strip()}\r\n" for name, value in _headers(request) if name.lower() == "host")


def _status(request: HttpRequest, sets: dict[frozenset[int], int]) -> int:
    """The expected status of a row; a set of several is added to `sets`."""
    if not request.expect:
        return request.status
    expected = parse_statuses(request.expect)
    return FIRST_STATUS_SET + sets.setdefault(expected, len(sets))


def _headers(request: HttpRequest) -> list[tuple[str, str]]:
    return [(name, value) for name, _, value in (line.partition(":") for line in request.headers)]


def _rest(request: HttpRequest, credentials: bytes, *, keepalive: bool) -> bytes:
    """The part of the request after its Host line; `credentials` are those of its URL."""
    given = {line.partition(":")[0].lower() for line in request.headers}
    lines = [
        f"{name}: {value}"
        for name, value in (("User-Agent", "loadgen"), ("Accept", "*/*"), ("Connection", "" if keepalive else "close"))
        if value and name.lower() not in given
    ]
    lines += [f"{name}: {value.strip()}" for name, value in _headers(request) if name.lower() != "host"]
    if credentials and "authorization" not in given:
        lines.append(f"Authorization: Basic {b64encode(credentials).decode()}")
    body = request.content
    if body or request.method in _WITH_BODY:
        lines.append(f"Content-Length: {len(body)}")
    return "".join(f"{line}\r\n" for line in lines).encode("utf-8") + b"\r\n" + body
