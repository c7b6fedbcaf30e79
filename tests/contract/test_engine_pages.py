"""Pages with embedded objects: both engines load the objects over several TCP connections, and record the page."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import uvloop
from numpy.typing import NDArray

from loadgen.engine.api import Engine
from loadgen.measure.record import MORE_CONNECTS_SHIFT, RESTED, STATUS_SHIFT
from loadgen.measure.slot_time import total_ns
from loadgen.model.bound import Bound
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.schedule.optape import OpTape
from tests.support import scripted
from tests.support.engines import ENGINES, MakeEngine, Played, play, records_kept
from tests.support.scripted import Behaviour, ScriptedServer, Writer
from tests.support.tapes import Op, content, make_tape

LINE = 80_000_000
PAGE = Op(path="/page", size=5_000)
OBJECTS = tuple(Op(path=f"/object{number}", size=1_000 + number, embedded=True) for number in range(5))
REST_NS = 10 * NS_PER_MS  # that of play()


@pytest.fixture(params=sorted(ENGINES))
def engine(request: pytest.FixtureRequest) -> MakeEngine:
    return ENGINES[request.param]


@dataclasses.dataclass(frozen=True)
class Found:
    """What an engine reported, and what the server saw."""

    played: Played
    records: NDArray[np.void]
    server: ScriptedServer

    @property
    def pages(self) -> NDArray[np.void]:
        """The records of pages that ended, in order."""
        ended = self.records[self.records["outcome"] != Outcome.CUT]
        order: NDArray[np.int64] = np.argsort(ended["due_ns"], kind="stable")
        return np.take(ended, order)


def load(
    engine: MakeEngine,
    monkeypatch: pytest.MonkeyPatch,
    behaviour: Behaviour,
    tape: OpTape,
    *,
    until: tuple[str, int] | asyncio.Event = ("/page", 2),
    line_bps: int = LINE,
    paced_reads: bool = False,
    bound: Bound | None = None,
    timeout_ns: int = 5 * NS_PER_S,
) -> Found:
    """Play until an event, or until a path was requested so many times: the page before was recorded then."""
    made: list[Engine] = []

    def kept_engine(*given: Any) -> Engine:
        made.append(engine(*given))
        return made[0]

    async def scenario() -> tuple[Played, ScriptedServer]:
        came = until if isinstance(until, asyncio.Event) else asyncio.Event()

        async def watched(path: str, size: int, writer: Writer) -> bool:
            if isinstance(until, tuple) and server.requests.count(until[0]) >= until[1]:
                came.set()
            return await behaviour(path, size, writer)

        async with ScriptedServer(watched) as server:
            playing = asyncio.ensure_future(
                play(
                    kept_engine,
                    tape,
                    [server.port],
                    line_bps=line_bps,
                    length_ns=30 * NS_PER_S,
                    paced_reads=paced_reads,
                    bound=bound,
                    timeout_ns=timeout_ns,
                )
            )
            await asyncio.wait_for(came.wait(), 30)
            made[0].stop()
            return await playing, server

    with records_kept(monkeypatch) as kept:
        found, server = uvloop.run(asyncio.wait_for(scenario(), 60))
    return Found(found, np.concatenate(kept), server)


def page_tape(*objects: Op, lanes: int = 2) -> OpTape:
    return make_tape((PAGE, *(objects or OBJECTS)), 1, lanes=lanes)


def whole(ops: Sequence[Op]) -> int:
    """The bytes of the replies of the scripted server."""
    return sum(len(scripted.head(op.size)) + op.size for op in ops)


def test_a_page_is_one_operation_from_its_request_to_the_last_byte_of_its_objects(
    engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = load(engine, monkeypatch, scripted.good, page_tape())
    page, server = found.pages[0], found.server
    assert (page["row"], page["connection"], page["outcome"]) == (0, 0, Outcome.OK)
    assert page["bytes"] == whole((PAGE, *OBJECTS))
    assert page["flags"] >> STATUS_SHIFT == 200
    assert server.requests[0] == server.requests[6] == "/page"
    assert sorted(server.requests[1:6]) == [op.path for op in OBJECTS]
    assert page["sent_ns"] <= server.arrived_ns[0]
    assert server.arrived_ns[5] <= page["done_ns"] <= server.arrived_ns[6]


@pytest.mark.parametrize("lanes", [1, 2, 3])
def test_objects_come_over_as_many_tcp_connections(
    engine: MakeEngine, monkeypatch: pytest.MonkeyPatch, lanes: int
) -> None:
    """The server answers objects when as many are requested: fewer connections would wait for ever."""
    waiting: list[asyncio.Event] = []
    most = 0

    async def together(path: str, size: int, writer: Writer) -> bool:
        nonlocal most
        if path != "/page":
            mine = asyncio.Event()
            waiting.append(mine)
            most = max(most, len(waiting))
            if len(waiting) >= lanes:
                for one in waiting:
                    one.set()
                waiting.clear()
            await mine.wait()
        return await scripted.good(path, size, writer)

    objects = [Op(path=f"/o{number}", embedded=True) for number in range(6)]
    found = load(engine, monkeypatch, together, page_tape(*objects, lanes=lanes))
    page = found.pages[0]
    assert page["outcome"] == Outcome.OK
    assert most == found.server.connections == lanes
    assert page["flags"] >> MORE_CONNECTS_SHIFT & 0xFFF == lanes - 1
    assert found.played.cell().connects == lanes
    view = found.played.totals.tcp  # each TCP connection is looked at when it ends
    assert view.paths["looks"].sum() >= lanes
    assert view.paths["segments_sent"].sum() >= 3 * lanes + 6


def test_an_object_waits_for_no_other_connection(engine: MakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server holds the first object until the other connection has requested all others."""
    requested, others = 0, asyncio.Event()

    async def first_is_slow(path: str, size: int, writer: Writer) -> bool:
        nonlocal requested
        if path == "/object0":
            await others.wait()
        elif path != "/page":
            requested += 1
            if requested == 4:
                others.set()
        return await scripted.good(path, size, writer)

    found = load(engine, monkeypatch, first_is_slow, page_tape())
    assert found.pages[0]["outcome"] == Outcome.OK


@pytest.mark.parametrize("lanes", [1, 2])
@pytest.mark.parametrize(
    ("wrong", "behaviour", "outcome"),
    [
        ("/page", scripted.error_500, Outcome.BAD_STATUS),
        ("/object1", scripted.error_500, Outcome.BAD_STATUS),
        ("/object4", scripted.truncates, Outcome.CLOSED_EARLY),
        ("/object0", scripted.wrong_bytes, Outcome.BAD_CONTENT),
        ("/object2", scripted.silent, Outcome.TIMED_OUT),
    ],
)
def test_a_page_fails_as_its_first_failed_request(
    engine: MakeEngine,
    monkeypatch: pytest.MonkeyPatch,
    wrong: str,
    behaviour: Behaviour,
    outcome: Outcome,
    lanes: int,
) -> None:
    """No object is requested after the failure; the user rests, and goes on with the next page."""
    failed = False

    async def once(path: str, size: int, writer: Writer) -> bool:
        nonlocal failed
        if path == wrong and not failed:
            failed = True
            return await behaviour(path, size, writer)
        return await scripted.good(path, size, writer)

    timeout_ns = 300 * NS_PER_MS if outcome is Outcome.TIMED_OUT else 5 * NS_PER_S
    tape = page_tape(lanes=lanes)
    found = load(engine, monkeypatch, once, tape, until=("/page", 3), timeout_ns=timeout_ns)
    first, second = found.pages[:2]
    assert (first["outcome"], second["outcome"]) == (outcome, Outcome.OK)
    assert second["due_ns"] == max(first["done_ns"], first["due_ns"]) + REST_NS
    if outcome is Outcome.BAD_STATUS:
        assert first["flags"] >> STATUS_SHIFT == 500
    if lanes == 1:  # with another connection, objects may be on their way before the failure is known
        number = 0 if wrong == "/page" else 1 + int(wrong[-1])
        assert found.server.requests.index("/page", 1) == number + 1
    (row,) = found.played.tallies()
    assert (row["ok"], row["bad"]) == (1, 1)


def test_an_object_that_waits_for_the_line_of_a_failed_page_is_given_up(
    engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first connection may request an object when the page has crossed its line; before, the other one fails."""

    async def second_is_wrong(path: str, size: int, writer: Writer) -> bool:
        return await (scripted.error_500 if path == "/object1" else scripted.good)(path, size, writer)

    line_bps = 800_000  # 20 us for a byte on each of two connections
    found = load(engine, monkeypatch, second_is_wrong, page_tape(), until=("/page", 2), line_bps=line_bps)
    page, server = found.pages[0], found.server
    assert server.requests[:3] == ["/page", "/object1", "/page"]
    assert (page["outcome"], page["flags"] >> STATUS_SHIFT) == (Outcome.BAD_STATUS, 500)
    free_ns = page["sent_ns"] + whole([PAGE]) * 20_000
    assert page["done_ns"] >= free_ns  # the rest does not begin before the line is free
    assert server.arrived_ns[2] >= page["done_ns"] + REST_NS


def test_a_page_that_has_failed_is_not_cut_by_the_end(engine: MakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """One object is never answered; of the other one, the server sees that the client has closed the connection."""
    wrong: list[Writer] = []
    requested, known = asyncio.Event(), asyncio.Event()

    async def one_fails(path: str, size: int, writer: Writer) -> bool:
        if path == "/page":
            return await scripted.good(path, size, writer)
        if path == "/object1":
            await requested.wait()
            wrong.append(writer)
            writer.write(scripted.head(5, status="500 Oops", extra="Connection: close\r\n") + b"sorry")
            return True
        requested.set()
        for _ in range(4_000):
            if wrong and wrong[0].transport.is_closing():
                break
            await asyncio.sleep(0.005)
        known.set()
        return await scripted.silent(path, size, writer)

    found = load(engine, monkeypatch, one_fails, page_tape(), until=known)
    (page,) = found.records
    assert (page["outcome"], page["flags"] >> STATUS_SHIFT) == (Outcome.BAD_STATUS, 500)
    assert not page["flags"] & RESTED  # the end leaves no time for it
    (row,) = found.played.tallies()
    assert (row["ok"], row["bad"], row["cut"], row["rest_ns"]) == (0, 1, 0, 0)


def test_a_page_that_the_end_cuts_is_recorded_once_with_its_bytes(
    engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def two_never_end(path: str, size: int, writer: Writer) -> bool:
        if path in ("/object1", "/object2"):
            writer.write(scripted.head(size) + content(path, size)[:100])
            return await scripted.silent(path, size, writer)
        return await scripted.good(path, size, writer)

    found = load(engine, monkeypatch, two_never_end, page_tape(), until=("/object2", 1))
    (page,) = found.records
    there = whole((PAGE, OBJECTS[0]))
    under_way = sum(len(scripted.head(op.size)) + 100 for op in OBJECTS[1:3])
    assert page["outcome"] == Outcome.CUT
    assert page["flags"] >> STATUS_SHIFT == 0
    assert there <= page["bytes"] <= there + under_way


def test_the_next_page_is_due_after_the_line_and_the_think_time(
    engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the time of each user adds up."""
    pages = (Op(path="/a", think_ms=40), OBJECTS[0], OBJECTS[1], Op(path="/b", size=30_000), OBJECTS[2])
    tape = make_tape(pages, 2, lanes=2)
    found = load(engine, monkeypatch, scripted.good, tape, until=("/b", 10), line_bps=8_000_000)
    assert set(found.records["row"].tolist()) <= {0, 3}
    gaps = 0
    for row in found.played.tallies():
        one = found.records[found.records["connection"] == row["connection"]]
        one = np.take(one, np.argsort(one["due_ns"]))
        assert one["outcome"][:-1].tolist() == [Outcome.OK] * (len(one) - 1)
        ends = []
        for now in one:
            line_ns = int(int(now["bytes"]) * 1_000 + 0.5)
            think_ns = pages[int(now["row"])].think_ms * NS_PER_MS * bool(now["outcome"] == Outcome.OK)
            ends.append(max(int(now["done_ns"]), int(now["due_ns"]) + line_ns) + think_ns)
        assert one["due_ns"][1:].tolist() == ends[:-1]
        assert (np.diff(one["row"].astype(int)) != 0).all()
        assert total_ns(np.array([row]))[0] == ends[-1] - one["due_ns"][0]
        gaps += len(ends) - 1
    assert gaps >= 10


@pytest.mark.parametrize("lanes", [1, 2])
def test_each_tcp_connection_has_its_part_of_the_line(
    engine: MakeEngine, monkeypatch: pytest.MonkeyPatch, lanes: int
) -> None:
    """Two objects of 40 KB at 800 kbit/s take .8 s: after each other on one connection, side by side on two."""
    tape = page_tape(*(Op(path=f"/o{number}", size=40_000, embedded=True) for number in range(2)), lanes=lanes)
    page = load(engine, monkeypatch, scripted.good, tape, line_bps=800_000, paced_reads=True).pages[0]
    assert page["outcome"] == Outcome.OK
    assert page["done_ns"] - page["sent_ns"] >= (80_000 - 3 * 4_096 * lanes) * 10_000


def test_small_objects_wait_for_the_line_as_well(engine: MakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten objects of 2 KB on two connections of 400 kbit/s: 40 ms each, five after each other on a connection."""
    tape = page_tape(*(Op(path=f"/o{number}", size=2_000, embedded=True) for number in range(10)))
    page = load(engine, monkeypatch, scripted.good, tape, line_bps=800_000, paced_reads=True).pages[0]
    assert page["outcome"] == Outcome.OK
    assert page["done_ns"] - page["sent_ns"] >= 4 * 40 * NS_PER_MS


def test_a_kept_connection_that_the_server_closes_is_opened_anew(
    engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = load(engine, monkeypatch, scripted.closes_after(2), page_tape())
    page = found.pages[0]
    assert page["outcome"] == Outcome.OK
    assert page["bytes"] == whole((PAGE, *OBJECTS))
    assert page["flags"] >> MORE_CONNECTS_SHIFT & 0xFFF >= 2
    assert found.played.cell().retries >= 1


def test_a_server_that_refuses_everything_fails_pages(engine: MakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> Played:
        async with ScriptedServer(scripted.good) as server:
            port = server.port
        return await play(engine, page_tape(), [port], line_bps=LINE)

    with records_kept(monkeypatch) as kept:
        found = uvloop.run(asyncio.wait_for(scenario(), 60))
    assert set(found.outcomes()) == {Outcome.REFUSED}
    assert (np.concatenate(kept)["sent_ns"] < 0).all()


def test_pages_are_good_tolerable_or_failed_as_the_server_is_scripted(
    engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten pages: an object comes at once, or after .7 s, or after 2 s; one page has a wrong one."""
    delays_s = {"/slow": 0.7, "/late": 2.0}

    async def answer(path: str, size: int, writer: Writer) -> bool:
        if path == "/idle":
            return await scripted.silent(path, size, writer)
        await asyncio.sleep(delays_s.get(path, 0.0))
        return await (scripted.error_500 if path == "/wrong" else scripted.good)(path, size, writer)

    script = ["/fast"] * 6 + ["/slow"] * 2 + ["/late", "/wrong"]
    pages = [(Op(path="/page"), Op(path="/x", embedded=True), Op(path=path, embedded=True)) for path in script]
    tape = make_tape([*itertools.chain(*pages), Op(path="/idle")], 1, lanes=2)
    bound = Bound.time(400 * NS_PER_MS, 1_200 * NS_PER_MS)
    found = load(engine, monkeypatch, answer, tape, until=("/idle", 1), bound=bound)
    cell, times_ms = found.played.cell(), (found.pages["done_ns"] - found.pages["due_ns"]) / NS_PER_MS
    assert (cell.ok, cell.bad) == (9, 1)
    assert (times_ms[6:8] >= 695).all()
    assert times_ms[8] >= 1_995
    is_ok = found.pages["outcome"] == Outcome.OK
    in_time = [int((is_ok & (times_ms <= limit)).sum()) for limit in (400, 1_200)]
    assert [cell.good, cell.tolerable] == in_time
    if times_ms[:6].max() < 400 and times_ms[6:8].max() < 1_200:  # the machine did not stand still
        assert in_time == [6, 8]


def test_loads_that_cannot_have_pages_are_refused(engine: MakeEngine) -> None:
    async def scenario() -> None:
        await play(engine, page_tape(), [1], requests=5)

    with pytest.raises(ValueError, match="pages need a closed loop"):
        uvloop.run(scenario())
