"""What the kernel says of TCP connections, through every engine.  Real losses: tests/system/test_tcp_losses.py."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from loadgen.engine.tcp_accounts import QUICK_LOOKS
from loadgen.host.counters import parse_snmp
from loadgen.measure.tcp_view import TcpView
from loadgen.model.target import Target
from loadgen.model.units import NS_PER_MS, NS_PER_S
from tests.support import scripted
from tests.support.engines import ENGINES, MakeEngine, Played, play, python_engine
from tests.support.http2_play import by_http2, run
from tests.support.scripted import Behaviour, ScriptedServer, Writer
from tests.support.tapes import Op, content, make_tape
from tests.support.tls_files import TlsFiles, make_tls_files

CONNECTIONS = 20


@pytest.fixture(params=sorted(ENGINES))
def engine(request: pytest.FixtureRequest) -> MakeEngine:
    return ENGINES[request.param]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return make_tls_files(tmp_path_factory.mktemp("tls"))


def retransmits_here() -> int:
    return parse_snmp(Path("/proc/net/snmp").read_text())["Tcp"]["RetransSegs"]


def played_of(engine: MakeEngine, behaviour: Behaviour, op: Op, connections: int = 3, **options: Any) -> Played:
    async def scenario() -> Played:
        async with ScriptedServer(behaviour) as server:
            return await play(engine, make_tape([op], connections), [server.port], **options)

    return run(scenario)


def sums(view: TcpView, name: str) -> int:
    return int(view.paths[name].sum())


def connects(played: Played) -> int:
    return sum(cell.connects for cell in played.totals.cells.values())


def is_whole(played: Played, before: int) -> None:
    """Check the numbers of a run on loopback, where nothing is lost unless the machine stands still."""
    view, made = played.totals.tcp, connects(played)
    ends = min(made, QUICK_LOOKS)  # each TCP connection is looked at when it ends, except for very many young ones
    assert sums(view, "looks") >= ends >= 2
    assert sums(view, "looks") == sums(view, "timed")  # the kernels of today know all fields
    assert sums(view, "segments_sent") >= 3 * ends  # SYN, ACK, request
    assert sums(view, "segments_received") >= 2 * ends
    assert view.rtt[0].total >= 1
    assert view.rtt[0].min_ns > 0
    assert sums(view, "retransmits") <= retransmits_here() - before
    assert int(view.slots["retransmits"].sum()) == sums(view, "retransmits")


@pytest.mark.parametrize("close", [False, True])
def test_each_tcp_connection_is_looked_at_until_its_end(engine: MakeEngine, close: bool) -> None:
    before = retransmits_here()
    is_whole(played_of(engine, scripted.good, Op(size=900, close=close)), before)


def test_connections_of_a_slow_server_only_wait(engine: MakeEngine) -> None:
    before = retransmits_here()
    played = played_of(engine, scripted.delayed(0.05), Op(size=900))
    assert len(played.totals.tcp.slots) <= retransmits_here() - before
    assert sums(played.totals.tcp, "looks") >= 3


def test_a_repeated_drain_has_the_view_again(engine: MakeEngine) -> None:
    played = played_of(engine, scripted.good, Op(size=900))
    first, again, after = played.snapshots
    assert first.tcp
    assert again.tcp == first.tcp
    assert not after.tcp


def test_a_segment_that_is_stopped_has_its_view(engine: MakeEngine) -> None:
    before = retransmits_here()
    played = played_of(engine, scripted.good, Op(size=900), stop_after_ns=150 * NS_PER_MS)
    is_whole(played, before)


def test_over_tls(files: TlsFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(files.authority))

    async def scenario() -> Played:
        async with ScriptedServer(scripted.good, files.server_context()) as server:
            target = Target(name="t0", host="127.0.0.1", port=server.port, tls=True)
            return await play(python_engine, make_tape([Op()], 2), [server.port], targets=[target])

    before = retransmits_here()
    is_whole(run(scenario), before)


def test_over_http2() -> None:
    before = retransmits_here()
    played, server = by_http2()
    view = played.totals.tcp
    assert sums(view, "looks") >= len(server.clients) == 2  # each TCP connection, not each stream
    assert sums(view, "retransmits") <= retransmits_here() - before


def test_each_end_was_looked_at_or_skipped(engine: MakeEngine) -> None:
    played = played_of(engine, scripted.good, Op(close=True), CONNECTIONS, length_ns=NS_PER_S)
    made, view = connects(played), played.totals.tcp
    assert sums(view, "looks") + sums(view, "skipped") >= made
    assert sums(view, "skipped") <= max(0, made - QUICK_LOOKS)


def test_the_round_trip_time_of_a_user_is_that_of_the_last_look(engine: MakeEngine) -> None:
    """The second connection ends soon; on the first one, replies and their acknowledgements take 30 ms then."""

    async def slower(path: str, size: int, writer: Writer) -> bool:
        if path == "/closes":
            writer.write(scripted.head(size, extra="Connection: close\r\n") + content(path, size))
            return False
        if path == "/later":
            await asyncio.sleep(0.03)
        return await scripted.good(path, size, writer)

    page = [Op(path="/page"), Op(path="/stays", embedded=True), Op(path="/closes", embedded=True)]

    async def scenario() -> Played:
        async with ScriptedServer(slower) as server:
            tape = make_tape([*page, *[Op(path="/later")] * 100], 1, lanes=2)
            return await play(engine, tape, [server.port], length_ns=2 * NS_PER_S)

    view = run(scenario).totals.tcp
    assert view.rtt[0].total == 1
    assert view.rtt[0].min_ns > 10 * NS_PER_MS
