"""Compiles the requests of a plan to a tape: one ring of rows per target; an open loop plays all rows in one order."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from loadgen.model.http_plan import HttpPlan, HttpRequest
from loadgen.model.url import Url
from loadgen.schedule.optape import (
    CHECK_DTYPE,
    CLOSE_AFTER,
    KEEP_ALIVE,
    OP_DTYPE,
    START_DTYPE,
    OpTape,
    StringsBuilder,
)
from workloads.api import Counting

MAX_KINDS = 32
"""Up to this many different requests are counted separately; more requests are counted together."""

GROUPS = ("all",)
"""The only group of operations."""

_WITH_BODY = ("POST", "PUT", "PATCH")


def compile_http(plan: HttpPlan) -> OpTape:
    """The tape of `plan`: each request as often as its weight says, evenly distributed.

    The status and the framing of replies are checked; their content is not.
    """
    strings = StringsBuilder()
    order = _interleave([request.weight for request in plan.requests])
    by_request = np.zeros(len(plan.requests), OP_DTYPE)
    target_of = _target_of(plan)
    for number, request in enumerate(plan.requests):
        row = by_request[number]
        row["line"] = strings.add(f"{request.method} {Url.parse(request.url).path} HTTP/1.1\r\n".encode("ascii"))
        row["rest"] = strings.add(_rest(request))
        row["target"] = target_of[number]
        row["status"] = request.status
        row["kind"] = number if len(plan.requests) <= MAX_KINDS else 0
        row["flags"] = CLOSE_AFTER if _closes(request) else KEEP_ALIVE
    ops = by_request[order]
    rings = [np.flatnonzero(ops["target"] == target) for target in range(len(plan.targets))]
    for ring in rings:
        ops["next"][ring] = np.roll(ring, -1)
    checks = np.zeros(1, CHECK_DTYPE)
    checks["content_bytes"] = checks["literal_at"] = -1
    categories = counting(plan)
    return OpTape(
        ops=ops,
        checks=checks,
        strings=strings.build(),
        starts=_starts(rings, plan.shares),
        kinds=categories.kinds,
        groups=categories.groups,
        kind_shares=categories.kind_shares,
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


def _target_of(plan: HttpPlan) -> list[int]:
    """The index of the target of each request."""
    index = {(target.tls, target.host, target.port): at for at, target in enumerate(plan.targets)}
    urls = (Url.parse(request.url) for request in plan.requests)
    return [index[url.tls, url.host, url.port] for url in urls]


def _starts(rings: Sequence[NDArray[np.int64]], shares: Sequence[int]) -> NDArray[np.void]:
    """The connections of each target start at rows that are evenly distributed over its ring, all without delay."""
    starts = np.zeros((1, sum(shares)), START_DTYPE)
    starts["row"] = np.concatenate(
        [ring[np.arange(share) * len(ring) // share] for ring, share in zip(rings, shares, strict=True)]
    )
    return starts


def _closes(request: HttpRequest) -> bool:
    lines = (line.lower().partition(":") for line in request.headers)
    return any(name == "connection" and "close" in value for name, _, value in lines)


def _rest(request: HttpRequest) -> bytes:
    """The part of the request after its Host line."""
    given = {line.partition(":")[0].lower() for line in request.headers}
    lines = [
        f"{name}: {value}"
        for name, value in (("User-Agent", "loadgen"), ("Accept", "*/*"))
        if name.lower() not in given
    ]
    lines += [f"{name}: {value.strip()}" for name, _, value in (line.partition(":") for line in request.headers)]
    if (credentials := Url.parse(request.url).credentials) and "authorization" not in given:
        lines.append(f"Authorization: Basic {b64encode(credentials).decode()}")
    body = request.content
    if body or request.method in _WITH_BODY:
        lines.append(f"Content-Length: {len(body)}")
    return "".join(f"{line}\r\n" for line in lines).encode("utf-8") + b"\r\n" + body
