"""Set-ups of `loadgen spec` with the right answer to each: four VMs with two connections each."""

from __future__ import annotations

from benchmarks.trust_disturbances import busy, engines, frozen, frozen_at_end, one_server, pulsing, servers
from benchmarks.trust_judging import NOT_CONFORMING, Right
from benchmarks.trust_places import quota
from benchmarks.trust_playing import Setup
from benchmarks.trust_rights import EITHER, HOLDS, OTHERS, SLOW, STOPPED
from benchmarks.trust_servers import web_servers

_ONCE = ("--connections", "2", "--iterations", "1")

_ONE_VM = Right(verdicts=(NOT_CONFORMING,), says="vm4", why="The score of three good VMs must not hide the fourth.")
_ONE_404 = Right(verdicts=(NOT_CONFORMING,), says="vm5", why="The score of four good VMs must not hide the fifth.")

SPEC = (
    Setup(
        name="in quiet",
        command="spec",
        loop="paced",
        right=HOLDS,
        serve=web_servers(),
        options=_ONCE,
    ),
    Setup(
        name="1 busy loop on the engine's core",
        command="spec",
        loop="paced",
        right=OTHERS,
        serve=web_servers(),
        options=_ONCE,
        disturb=busy(1),
    ),
    Setup(
        name="4 busy loops on the engine's core",
        command="spec",
        loop="paced",
        right=OTHERS,
        serve=web_servers(),
        options=_ONCE,
        disturb=busy(4),
    ),
    Setup(
        name="4 busy loops on the servers' core only",
        command="spec",
        loop="paced",
        right=EITHER,
        serve=web_servers(),
        options=_ONCE,
        disturb=busy(4, on="servers"),
    ),
    Setup(
        name="engine stopped .2 s of each second",
        command="spec",
        loop="paced",
        right=STOPPED,
        serve=web_servers(),
        options=_ONCE,
        disturb=pulsing(engines, 0.2, 0.8),
    ),
    Setup(
        name="CPU quota 55 %, not used up",
        command="spec",
        loop="paced",
        right=HOLDS,
        serve=web_servers(),
        options=_ONCE,
        where=quota,
    ),
    Setup(
        name="one of four VMs frozen",
        command="spec",
        loop="paced",
        right=_ONE_VM,
        serve=web_servers(),
        options=_ONCE,
        disturb=frozen(one_server, -0.5, 60.0),
    ),
    Setup(
        name="all VMs frozen at the start, across the window's opening",
        command="spec",
        loop="paced",
        right=SLOW,
        serve=web_servers(),
        options=_ONCE,
        disturb=frozen(servers, -0.8, 1.5),
    ),
    Setup(
        name="all VMs frozen in the middle",
        command="spec",
        loop="paced",
        right=SLOW,
        serve=web_servers(),
        options=_ONCE,
        disturb=frozen(servers, 0.7, 2.3),
    ),
    Setup(
        name="all VMs frozen at the end",
        command="spec",
        loop="paced",
        right=SLOW,
        serve=web_servers(),
        options=_ONCE,
        disturb=frozen_at_end(servers, 1.5),
    ),
    Setup(
        name="one of five VMs answers with 404",
        command="spec",
        loop="paced",
        right=_ONE_404,
        serve=web_servers(and_404=True),
        options=_ONCE,
    ),
)
