"""Think times: both engines let a user think after a good reply of a paced loop, and account for the time."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence

import numpy as np
import pytest
import uvloop
from numpy.typing import NDArray

from loadgen.measure.slot_time import total_ns
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_MS, NS_PER_S
from tests.support import scripted
from tests.support.engines import ENGINES, MakeEngine, Played, play, records_kept
from tests.support.scripted import Behaviour, ScriptedServer
from tests.support.tapes import Op, make_tape

LINE = 8_000_000
OPS = (Op(path="/a", think_ms=40), Op(path="/b", size=50_000), Op(path="/c", think_ms=15))


@pytest.fixture(params=sorted(ENGINES))
def engine(request: pytest.FixtureRequest) -> MakeEngine:
    return ENGINES[request.param]


def played(
    engine: MakeEngine, monkeypatch: pytest.MonkeyPatch, behaviour: Behaviour, *, line_bps: int
) -> tuple[Played, Sequence[NDArray[np.void]]]:
    """Play 12 operations, and return them in the order of each of two connections."""

    async def scenario() -> Played:
        async with ScriptedServer(behaviour) as server:
            tape = make_tape(OPS, 2)
            return await play(engine, tape, [server.port], line_bps=line_bps, length_ns=30 * NS_PER_S, requests=12)

    with records_kept(monkeypatch) as kept:
        found = uvloop.run(asyncio.wait_for(scenario(), 60))
    every = np.concatenate(kept)
    every = every[every["outcome"] != Outcome.CUT]
    of = [every[every["connection"] == number] for number in (0, 1)]
    return found, [one[np.argsort(one["due_ns"], kind="stable")] for one in of]


def test_the_next_operation_is_due_after_the_line_and_the_think_time(
    engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, connections = played(engine, monkeypatch, scripted.good, line_bps=LINE)
    gaps = 0
    for one in connections:
        for now, after in itertools.pairwise(one):
            line_ns = int(int(now["bytes"]) * 8 * NS_PER_S / LINE + 0.5)
            end_ns = max(int(now["done_ns"]), int(now["due_ns"]) + line_ns)
            think_ns = OPS[int(now["row"])].think_ms * NS_PER_MS
            assert int(after["due_ns"]) == end_ns + think_ns
            gaps += 1
    assert gaps == 10


def test_think_time_is_pacing_so_that_each_connection_adds_up(
    engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, connections = played(engine, monkeypatch, scripted.good, line_bps=LINE)
    for number, one in enumerate(connections):
        (row,) = (row for row in found.tallies() if row["connection"] == number)
        assert row["busy_ns"] <= row["service_ns"] + row["pacing_ns"] + row["lateness_ns"]
        thought_ns = sum(OPS[int(each["row"])].think_ms for each in one) * NS_PER_MS
        assert total_ns(np.array([row]))[0] == row["busy_ns"] + thought_ns


def test_nobody_thinks_after_a_failure(engine: MakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    _, connections = played(engine, monkeypatch, scripted.error_500, line_bps=LINE)
    for one in connections:
        for now, after in itertools.pairwise(one):
            rest_ns = 10 * NS_PER_MS  # that of play()
            assert int(after["due_ns"]) == max(int(now["done_ns"]), int(now["due_ns"])) + rest_ns
