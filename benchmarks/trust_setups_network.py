"""Set-ups of `loadgen iperf` and `loadgen forward` with the right answer to each."""

from __future__ import annotations

from benchmarks.trust_disturbances import busy, dead_path, frozen, pulsing, servers
from benchmarks.trust_judging import CONFORMING, INVALID, NOT_CONFORMING, Right
from benchmarks.trust_places import everywhere, lab
from benchmarks.trust_playing import Setup
from benchmarks.trust_rights import HOLDS
from benchmarks.trust_servers import iperf_server, nothing
from loadgen.model.probe import Link

_TCP = ("--send", "-w", "64K")
_UDP = ("--udp", "--send", "--rate", "20M", "--at-least", "19M")
_PROXIED = ("--flows", "1", "--modes", "direct,splice", "--repeats", "1")
_GIGE = ("--lab", "gige", "--windows", "64K", *_PROXIED)
_UNSHAPED = ("--lab", "none", "--windows", "auto", "--flows", "1", "--modes", "direct", "--repeats", "1")
_SHORT = ("--duration", "500ms", "--omit", "200ms")

_BESIDE = Right(verdicts=(INVALID,), checks=("other processes",), why="The rate is that of a race for the core.")
_OWN_END = Right(
    verdicts=(INVALID,), checks=("tests limited by this end",), why="The far end and the path may be faster."
)
_LOST = Right(verdicts=(CONFORMING,), why="The low rate is that of the path.")
_DIES = Right(verdicts=(NOT_CONFORMING,), why="Most datagrams are lost by the sender's count, so the rate is missed.")
_READER = Right(verdicts=(NOT_CONFORMING,), why="The far end reads too slowly; this end could send more.")
_SILENT = Right(
    verdicts=(NOT_CONFORMING,), why="A transaction has no answer until the end, so the latencies are no result."
)
_SOURCE = Right(
    verdicts=(INVALID,),
    checks=("cells limited by an end",),
    why="The required rate is missed because the source needs a whole core: the path may be faster.",
)

NETWORK = (
    Setup(
        name="in quiet",
        command="iperf",
        loop="TCP",
        right=HOLDS,
        serve=iperf_server,
        options=_TCP,
        where=lab(Link.GIGE),
    ),
    Setup(
        name="in quiet",
        command="iperf",
        loop="UDP",
        right=HOLDS,
        serve=iperf_server,
        options=_UDP,
        where=lab(Link.GIGE),
    ),
    Setup(
        name="in quiet",
        command="iperf",
        loop="1 byte each way",
        right=HOLDS,
        serve=iperf_server,
        options=("--rr",),
        where=lab(Link.GIGE),
    ),
    Setup(
        name="4 busy loops on its core",
        command="iperf",
        loop="TCP",
        right=_BESIDE,
        serve=iperf_server,
        options=_TCP,
        where=lab(Link.GIGE),
        disturb=busy(4),
        when="",
    ),
    Setup(
        name="its own end at 100 % of a core",
        command="iperf",
        loop="TCP",
        right=_OWN_END,
        serve=iperf_server,
        options=("--send", "-w", "auto", "-l", "1K"),
        where=lab(Link.NONE),
    ),
    Setup(
        name="path that loses 1 % of the packets",
        command="iperf",
        loop="TCP",
        right=_LOST,
        serve=iperf_server,
        options=_TCP,
        where=lab(Link.GIGE, loss=0.01),
    ),
    Setup(
        name="path that dies",
        command="iperf",
        loop="UDP",
        right=_DIES,
        serve=iperf_server,
        options=_UDP,
        where=lab(Link.GIGE),
        disturb=dead_path(0.2),
        when=" send ",
    ),
    Setup(
        name="reader that stands still .6 s of each second",
        command="iperf",
        loop="TCP",
        right=_READER,
        serve=iperf_server,
        options=(*_TCP, "--at-least", "800M"),
        where=lab(Link.GIGE),
        disturb=pulsing(servers, 0.6, 0.4),
        when=" send ",
    ),
    Setup(
        name="server that freezes until the end",
        command="iperf",
        loop="1 byte each way",
        right=_SILENT,
        serve=iperf_server,
        options=("--rr",),
        where=lab(Link.GIGE),
        disturb=frozen(servers, -0.8, 1.5),
        when=" rr ",
    ),
    Setup(
        name="in quiet",
        command="forward",
        loop="TCP",
        right=HOLDS,
        serve=nothing,
        options=(*_GIGE, *_SHORT),
        when="",
        where=everywhere,
    ),
    Setup(
        name="8 busy loops on both cores",
        command="forward",
        loop="TCP",
        right=_BESIDE,
        serve=nothing,
        options=(*_GIGE, *_SHORT),
        disturb=busy(8),
        when="",
        where=everywhere,
    ),
    Setup(
        name="its source is the limit",
        command="forward",
        loop="TCP",
        right=_SOURCE,
        serve=nothing,
        options=(*_UNSHAPED, *_SHORT, "--at-least", "100G"),
        when="",
        where=everywhere,
    ),
)
