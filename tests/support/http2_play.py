"""Plays a tape over HTTP/2 against a server of the tests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import uvloop

from loadgen.model.outcome import Outcome
from loadgen.model.target import Target
from loadgen.model.tls import TlsSettings
from loadgen.model.units import NS_PER_S
from loadgen.schedule.optape import OpTape
from tests.support.engines import Played, play, python_engine
from tests.support.http2_server import Behaviour, Http2Server, good
from tests.support.tapes import Op, make_tape

T = TypeVar("T")


def run(scenario: Callable[[], Awaitable[T]]) -> T:
    async def bounded() -> T:
        return await asyncio.wait_for(scenario(), 60)

    return uvloop.run(bounded())


def by_http2(
    behaviour: Behaviour = good,
    op: Op | None = None,
    *,
    slots: int = 6,
    streams: int = 3,
    tape: OpTape | None = None,
    server: Http2Server | None = None,
    tls: bool = False,
    resume: bool = False,
    **options: Any,
) -> tuple[Played, Http2Server]:
    """Play `op` on `slots` slots, of which `streams` share a connection."""

    async def scenario() -> tuple[Played, Http2Server]:
        async with server or Http2Server(behaviour) as serving:
            played = await play(
                python_engine,
                tape or make_tape([op or Op()], slots),
                [serving.port],
                targets=[Target(name="t", host="127.0.0.1", port=serving.port, tls=tls)],
                streams=streams,
                tls=TlsSettings(resume=resume),
                **{"length_ns": NS_PER_S // 4, **options},
            )
            return played, serving

    return run(scenario)


def only_good(played: Played) -> int:
    """The number of good operations; all others were cut."""
    outcomes = played.outcomes()
    assert set(outcomes) <= {Outcome.OK, Outcome.CUT}, (outcomes, played.remarks)
    return outcomes[Outcome.OK]
