"""What a plan of HTTP/2 may ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from loadgen.model.errors import PlanError
from loadgen.model.sending import EngineKind

MAX_STREAMS = 10_000
"""Streams of HTTP/2 per connection; servers allow 100 to 250 by default."""


_INSTEAD = {
    "--proxy": "omit --http2 to go through the proxy, or reach the server directly (--connect-to may name another one)",
    "--no-keepalive": "omit --http2 for a connection per request; HTTP/2 carries many requests on each connection",
}


def check_http2(streams: int, engine: EngineKind, others: Mapping[str, object], *, http2: bool) -> None:
    """Raise PlanError for what cannot be played; `others`: options that HTTP/2 cannot have, if they are set."""
    if streams != 1 and not http2:
        raise PlanError("only HTTP/2 has several streams per connection", hint="give --http2, too")
    if not 1 <= streams <= MAX_STREAMS:
        raise PlanError(f"the streams per connection must be 1 to {MAX_STREAMS:,}, got {streams:,}")
    if http2 and engine is EngineKind.COMPILED:
        raise PlanError("only the Python engine speaks HTTP/2", hint="omit --engine compiled")
    for option, given in others.items():
        if http2 and given:
            raise PlanError(f"--http2 cannot be combined with {option}", hint=_INSTEAD.get(option, "omit one of them"))


def slots_of(shares: Sequence[int], streams: int) -> list[int]:
    """The number of requests to each target that are under way at once, where each connection has so many streams."""
    return [share * streams for share in shares]
