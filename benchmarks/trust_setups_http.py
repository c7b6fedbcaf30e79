"""Set-ups of `loadgen http` with the right answer to each.

A responder in C takes 5 ms for each request, so that its core is idle and its times are known.
"""

from __future__ import annotations

from benchmarks.trust_disturbances import busy, engines, frozen, frozen_at_end, pulsing, servers, slightly_busy
from benchmarks.trust_judging import CONFORMING, Right
from benchmarks.trust_places import lab, quota
from benchmarks.trust_playing import Setup
from benchmarks.trust_rights import EITHER, FAILED, HOLDS, MISSED, NOT_OURS, OTHERS, SATURATED, STOPPED, THROTTLED
from benchmarks.trust_servers import refusing, responder, scripted
from loadgen.model.probe import Link

DELAY_US = 5_000

_OPEN = ("--rate", "1000/s", "-c", "64")
_CLOSED = ("-c", "16")
_P99 = ("--slo", "p99<50ms")
_MAX = ("--slo", "max<500ms")  # 16 connections have 16 long waits only: not one per cent of the requests
_DEAR = ("--header", f"X-Long: {'x' * 6000}")  # a request that costs the client more than the server
_ERRORS = ("--slo", "errors<1%")

_CLOSES = Right(verdicts=(CONFORMING,), why="A request that meets the end of its kept connection is sent once more.")

HTTP = (
    Setup(
        name="in quiet, 1,000/s",
        command="http",
        loop="open",
        right=HOLDS,
        serve=responder(DELAY_US),
        options=_OPEN,
    ),
    Setup(
        name="in quiet, 5,000/s, Poisson",
        command="http",
        loop="open",
        right=HOLDS,
        serve=responder(DELAY_US),
        options=("--rate", "5000/s", "--poisson", "-c", "256"),
    ),
    Setup(
        name="in quiet",
        command="http",
        loop="closed",
        right=HOLDS,
        serve=responder(DELAY_US),
        options=_CLOSED,
    ),
    Setup(
        name="beside a process with 10 % of the engine's core",
        command="http",
        loop="open",
        right=HOLDS,
        serve=responder(DELAY_US),
        options=_OPEN,
        disturb=slightly_busy,
    ),
    Setup(
        name="1 busy loop on the engine's core",
        command="http",
        loop="open",
        right=OTHERS,
        serve=responder(DELAY_US),
        options=_OPEN,
        disturb=busy(1),
    ),
    Setup(
        name="4 busy loops on the engine's core",
        command="http",
        loop="open",
        right=OTHERS,
        serve=responder(DELAY_US),
        options=_OPEN,
        disturb=busy(4),
    ),
    Setup(
        name="1 busy loop on the engine's core",
        command="http",
        loop="closed",
        right=OTHERS,
        serve=responder(DELAY_US),
        options=_CLOSED,
        disturb=busy(1),
    ),
    Setup(
        name="4 busy loops on the engine's core",
        command="http",
        loop="closed",
        right=OTHERS,
        serve=responder(DELAY_US),
        options=_CLOSED,
        disturb=busy(4),
    ),
    Setup(
        name="1 busy loop on the server's core only",
        command="http",
        loop="open",
        right=NOT_OURS,
        serve=responder(DELAY_US),
        options=_OPEN,
        disturb=busy(1, on="servers"),
    ),
    Setup(
        name="4 busy loops on the server's core only",
        command="http",
        loop="closed",
        right=NOT_OURS,
        serve=responder(DELAY_US),
        options=_CLOSED,
        disturb=busy(4, on="servers"),
    ),
    Setup(
        name="engine stopped .2 s of each second",
        command="http",
        loop="open",
        right=STOPPED,
        serve=responder(DELAY_US),
        options=_OPEN,
        disturb=pulsing(engines, 0.2, 0.8),
    ),
    Setup(
        name="engine stopped .2 s of each second",
        command="http",
        loop="closed",
        right=STOPPED,
        serve=responder(DELAY_US),
        options=_CLOSED,
        disturb=pulsing(engines, 0.2, 0.8),
    ),
    Setup(
        name="CPU quota 55 %, not used up",
        command="http",
        loop="open",
        right=HOLDS,
        serve=responder(DELAY_US),
        options=("--rate", "200/s", "-c", "8"),
        where=quota,
    ),
    Setup(
        name="CPU quota 55 %, used up by engine and server",
        command="http",
        loop="closed",
        right=THROTTLED,
        serve=responder(0),
        options=("-c", "64"),
        where=quota,
    ),
    Setup(
        name="saturated client",
        command="http",
        loop="closed",
        right=SATURATED,
        serve=responder(0),
        options=("-c", "64", *_DEAR),
    ),
    Setup(
        name="asked for far more than its maximum",
        command="http",
        loop="open",
        right=SATURATED,
        serve=responder(0),
        options=("--rate", "400000/s", "-c", "64"),
    ),
    Setup(
        name="server stopped .2 s of each second",
        command="http",
        loop="closed",
        right=NOT_OURS,
        serve=responder(DELAY_US),
        options=_CLOSED,
        disturb=pulsing(servers, 0.2, 0.8),
    ),
    Setup(
        name="server frozen at the start, across the window's opening",
        command="http",
        loop="open",
        right=MISSED,
        serve=responder(DELAY_US),
        options=(*_OPEN, *_P99),
        disturb=frozen(servers, -0.5, 1.0),
    ),
    Setup(
        name="server frozen at the start, across the window's opening",
        command="http",
        loop="closed",
        right=MISSED,
        serve=responder(DELAY_US),
        options=(*_CLOSED, *_MAX),
        disturb=frozen(servers, -0.5, 1.0),
    ),
    Setup(
        name="server frozen in the middle",
        command="http",
        loop="open",
        right=MISSED,
        serve=responder(DELAY_US),
        options=(*_OPEN, *_P99),
        disturb=frozen(servers, 1.0, 2.0),
    ),
    Setup(
        name="server frozen in the middle",
        command="http",
        loop="closed",
        right=MISSED,
        serve=responder(DELAY_US),
        options=(*_CLOSED, *_MAX),
        disturb=frozen(servers, 1.0, 2.0),
    ),
    Setup(
        name="server frozen at the end",
        command="http",
        loop="open",
        right=MISSED,
        serve=responder(DELAY_US),
        options=(*_OPEN, *_P99),
        disturb=frozen_at_end(servers, 1.0),
    ),
    Setup(
        name="server frozen at the end",
        command="http",
        loop="closed",
        right=MISSED,
        serve=responder(DELAY_US),
        options=(*_CLOSED, *_MAX),
        disturb=frozen_at_end(servers, 1.0),
    ),
    Setup(
        name="server that never answers",
        command="http",
        loop="open",
        right=FAILED,
        serve=scripted("silent"),
        options=("--rate", "100/s", "-c", "600"),
    ),
    Setup(
        name="server that refuses",
        command="http",
        loop="open",
        right=FAILED,
        serve=refusing,
        options=("--rate", "500/s", "-c", "16"),
    ),
    Setup(
        name="server that answers half with 404",
        command="http",
        loop="open",
        right=MISSED,
        serve=scripted("half"),
        options=("--rate", "500/s", "-c", "16", *_ERRORS),
    ),
    Setup(
        name="server that answers half with 404",
        command="http",
        loop="closed",
        right=MISSED,
        serve=scripted("half"),
        options=(*_CLOSED, *_ERRORS),
    ),
    Setup(
        name="server that closes after 10 replies",
        command="http",
        loop="open",
        right=_CLOSES,
        serve=scripted("closes"),
        options=("--rate", "500/s", "-c", "16", *_ERRORS),
    ),
    Setup(
        name="server that closes after 10 replies",
        command="http",
        loop="closed",
        right=_CLOSES,
        serve=scripted("closes"),
        options=(*_CLOSED, *_ERRORS),
    ),
    Setup(
        name="path that loses 1 % of the packets",
        command="http",
        loop="open",
        right=EITHER,
        serve=scripted("good"),
        options=("--rate", "500/s", "-c", "64", *_P99),
        where=lab(Link.NONE, loss=0.01),
    ),
)
