"""`loadgen http` against servers that answer with errors or close connections: no rest is charged to anybody."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from coordinator.record.reader import load
from loadgen.engine.choice import available
from loadgen.measure.cells import Cell
from tests.support.cli import Done, loadgen
from tests.support.disturbed import disturbed
from tests.support.scripted import Behaviour, ScriptedServer, Writer, closes_after, good, missing

pytestmark = pytest.mark.parametrize("engine", [kind.value for kind in available()])

DISTURBED = {"engine stood still", "engine runnable", "other processes", "client's share", "disturbed seconds"}
"""Checks that other work on this machine can fail.  A rest after an error is none of it."""


def every(nth: int, behaviour: Behaviour, other: Behaviour) -> Behaviour:
    """Every nth request is answered by `behaviour`."""
    number = 0

    async def answer(path: str, size: int, writer: Writer) -> bool:
        nonlocal number
        number += 1
        chosen: Callable[[str, int, Writer], Awaitable[bool]] = other if number % nth else behaviour
        return await chosen(path, size, writer)

    return answer


def play(behaviour: Behaviour, tmp_path: Path, engine: str, *arguments: str) -> tuple[Done, Cell]:
    """A run against one server, and all of its operations."""

    async def scenario() -> Done:
        async with ScriptedServer(behaviour) as server:
            url = f"http://127.0.0.1:{server.port}/?size=500"
            given = ("http", url, "--engine", engine, "--engines", "1", "--out", "run", "-d", "2s", *arguments)
            return await asyncio.to_thread(loadgen, *given, cache=tmp_path, cwd=tmp_path)

    done = asyncio.run(scenario())
    cells = [cell for one in load(tmp_path / "run").measured for cell in one.cells.values()]
    return done, Cell.merge_all(cells)


def is_valid(done: Done, tmp_path: Path) -> None:
    found = loadgen("show", "run", "--json", cache=tmp_path, cwd=tmp_path).document
    failed = {check["name"] for check in found["trust"]["checks"] if not check["ok"]}
    assert failed <= DISTURBED or disturbed(found), done.out
    assert done.code in (0, 3), done.out


def test_instant_404s_in_an_open_loop_do_not_make_the_client_late(tmp_path: Path, engine: str) -> None:
    done, whole = play(every(2, missing, good), tmp_path, engine, "--rate", "200/s", "-c", "16")
    is_valid(done, tmp_path)
    assert whole.issued >= 400
    assert whole.bad == pytest.approx(whole.issued / 2, abs=2)
    assert whole.rest_ns == 0


def test_a_closed_loop_does_not_rest_after_404s(tmp_path: Path, engine: str) -> None:
    done, whole = play(every(20, missing, good), tmp_path, engine, "-c", "16")
    is_valid(done, tmp_path)
    assert whole.bad == pytest.approx(whole.issued / 20, abs=16)
    # With a rest of 250 ms after each, 16 connections could have 8 errors each.
    assert whole.bad > 16 * 8
    assert whole.rest_ns == 0


def test_a_server_that_closes_after_ten_replies_unannounced_fails_nothing_and_nobody_rests(
    tmp_path: Path, engine: str
) -> None:
    done, whole = play(closes_after(10), tmp_path, engine, "-c", "16", "--slo", "errors<=0%")
    is_valid(done, tmp_path)
    assert (whole.bad, whole.rest_ns) == (0, 0)
    assert whole.retries == pytest.approx(whole.ok / 10, abs=32)
    # With a rest of 250 ms after each close, 16 connections could have 10 replies eight times.
    assert whole.ok > 16 * 10 * 8
