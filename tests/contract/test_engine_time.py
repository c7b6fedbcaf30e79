"""On real traffic, the parts of each connection's time (loadgen.measure.slot_time) add up to the window, to the ns.

The servers answer well, slowly, with 404, not at all, refuse connections, and close them after each reply.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket

import numpy as np
import pytest
import uvloop
from numpy.typing import NDArray

from loadgen.engine.api import Arrivals
from loadgen.measure.record import RESTED
from loadgen.measure.slot_time import PARTS, are_known, total_ns
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.verdict.time_shares import unaccounted_share
from tests.support.engines import ENGINES, MakeEngine, Played, play, records_kept
from tests.support.scripted import ScriptedServer, Writer, good, head, silent
from tests.support.tapes import Op, make_tape

GOOD, SLOW, WRONG, SILENT, CLOSES, REFUSES = range(6)
EACH = 2  # connections to each server
REST = 30 * NS_PER_MS
WINDOW = (100 * NS_PER_MS, 350 * NS_PER_MS)
LENGTH = WINDOW[1] - WINDOW[0]


@pytest.fixture(params=sorted(ENGINES))
def engine(request: pytest.FixtureRequest) -> MakeEngine:
    return ENGINES[request.param]


async def slow(path: str, size: int, writer: Writer) -> bool:
    await asyncio.sleep(0.02)
    return await good(path, size, writer)


async def wrong(path: str, size: int, writer: Writer) -> bool:
    writer.write(head(5, status="404 Not Found") + b"sorry")
    return True


async def closes(path: str, size: int, writer: Writer) -> bool:
    await good(path, size, writer)
    return False


def played(
    make: MakeEngine, monkeypatch: pytest.MonkeyPatch, *, line_bps: int = 0, arrivals: Arrivals | None = None
) -> tuple[Played, NDArray[np.void]]:
    tape = make_tape(
        [Op(size=700, target=at) for at in range(6)] if arrivals else [Op(size=700)], 6 * EACH, spread_ns=NS_PER_MS
    )

    async def scenario() -> Played:
        async with contextlib.AsyncExitStack() as held:
            behaviours = (good, slow, wrong, silent, closes)
            ports = [(await held.enter_async_context(ScriptedServer(one))).port for one in behaviours]
            with socket.create_server(("127.0.0.1", 0)) as free:
                ports.append(free.getsockname()[1])
            return await asyncio.wait_for(
                play(
                    make,
                    tape,
                    ports,
                    window_ns=WINDOW,
                    line_bps=line_bps,
                    timeout_ns=80 * NS_PER_MS,
                    error_rest_ns=REST,
                    arrivals=arrivals,
                ),
                30,
            )

    with records_kept(monkeypatch) as kept:
        found = uvloop.run(scenario())
    return found, np.concatenate(kept)


def ends_of(mine: NDArray[np.void], line_bps: int) -> NDArray[np.int64]:
    """When each operation's time is over, with the rest after it."""
    end = mine["done_ns"].copy()
    paced = np.isin(mine["outcome"], (Outcome.OK, Outcome.CUT)) & (line_bps > 0)
    line_ns = (mine["bytes"] * (8 * NS_PER_S / max(line_bps, 1)) + 0.5).astype(np.int64)
    end[paced] = np.maximum(end, mine["due_ns"] + line_ns)[paced]
    found: NDArray[np.int64] = end + REST * ((mine["flags"] & RESTED) != 0)
    return found


def outcomes_at(records: NDArray[np.void], target: int) -> set[Outcome]:
    return {Outcome(code) for code in records["outcome"][records["connection"] // EACH == target].tolist()}


@pytest.mark.parametrize("line_bps", [0, 400_000, 3_000_000])
def test_the_time_of_a_closed_loop_adds_up(engine: MakeEngine, line_bps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    found, records = played(engine, monkeypatch, line_bps=line_bps)
    start = records["due_ns"].min() + WINDOW[0]  # connection 0 starts with the segment
    tallies = found.tallies()
    assert are_known(tallies)
    assert tallies["connection"].tolist() == list(range(6 * EACH))
    for row in tallies:
        mine = np.sort(records[records["connection"] == row["connection"]], order="due_ns")
        ends = ends_of(mine, line_bps)
        assert mine["due_ns"][1:].tolist() == ends[:-1].tolist()  # neither a gap nor an overlap
        absent = LENGTH - int(total_ns(np.array([row]))[0])
        assert absent == max(0, start + LENGTH - max(int(ends[-1]), start))
    by_target = {at: {name: int(tallies[name][EACH * at : EACH * (at + 1)].sum()) for name in PARTS} for at in range(6)}
    for at in (GOOD, SLOW, CLOSES):
        assert by_target[at]["service_ns"] > 0
        if outcomes_at(records, at) <= {Outcome.OK, Outcome.CUT}:  # on a busy machine, servers may be late
            assert by_target[at]["failed_ns"] == by_target[at]["rest_ns"] == 0
    assert (by_target[GOOD]["pacing_ns"] > 0) == (line_bps > 0)
    assert by_target[WRONG]["failed_ns"] > 0
    if outcomes_at(records, WRONG) <= {Outcome.BAD_STATUS, Outcome.CUT}:
        assert (by_target[WRONG]["rest_ns"] > 0) == (line_bps > 0)
    for at in (SILENT, REFUSES):
        assert by_target[at]["service_ns"] == 0
        assert by_target[at]["rest_ns"] > 0
    assert by_target[SILENT]["failed_ns"] > 0


def test_the_time_of_an_open_loop_is_that_of_its_connections(
    engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of operations that wait for a connection, none counts; of failed connects, the time of the attempt counts."""
    arrivals = Arrivals(rate_per_s=600, poisson=False, seed=1, part=0, parts=1, max_backlog=3)
    found, records = played(engine, monkeypatch, arrivals=arrivals)
    start = records["due_ns"].min() + WINDOW[0]
    tallies = found.tallies()
    for row in tallies:
        mine = records[(records["connection"] == row["connection"]) & (records["sent_ns"] != 0)]
        mine = np.sort(mine, order="done_ns")
        begun, ends = np.abs(mine["sent_ns"]), ends_of(mine, 0)
        assert (begun[1:] >= ends[:-1]).all()
        inside = np.minimum(ends, start + LENGTH) - np.maximum(begun, start)
        assert int(total_ns(np.array([row]))[0]) == int(np.maximum(inside, 0).sum())
        assert row["lateness_ns"] == row["pacing_ns"] == 0


def test_after_an_engine_was_stopped_its_connections_are_absent(engine: MakeEngine) -> None:
    async def scenario() -> Played:
        async with ScriptedServer(slow) as server:
            return await play(
                engine, make_tape([Op()], 4), [server.port], length_ns=20 * NS_PER_S, stop_after_ns=200 * NS_PER_MS
            )

    tallies = uvloop.run(scenario()).tallies()
    share = unaccounted_share(tallies, 4, 20 * NS_PER_S)
    assert share is not None
    assert share > 0.5
    assert (total_ns(tallies) > 0).all()
