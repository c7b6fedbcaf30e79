"""What the pages of a running command do for many readers, for late ones, and for the end of the command."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from coordinator.output.prometheus import write_metrics
from coordinator.output.watched import Watched
from coordinator.output.web import board as boards
from coordinator.output.web import live, metrics
from coordinator.output.web.board import Board
from coordinator.output.web.worker import Worker
from tests.support import https
from tests.support.judged import judged
from tests.support.recorded import CUT, write_record
from tests.support.served import LONGEST_S, Events, run, second, serving, until


def test_a_page_is_told_that_loadgen_is_there_when_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_ALIVE_S", 0.01)

    async def test() -> None:
        async with serving() as served, Events(served) as events:
            assert (await events.next())[0] == "all"
            assert [await events.next_name() for _ in range(2)] == ["alive"] * 2

    run(test)


def test_a_page_too_many_is_told_so_and_may_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boards, "_MAX_READERS", 1)

    async def test() -> None:
        async with serving() as served:
            async with Events(served) as one, Events(served) as two:
                assert (await one.next())[0] == "all"
                assert (await two.next())[0] == "full"
            await until(lambda: served.board.readers == 0)
            async with Events(served) as three:
                assert (await three.next())[0] == "all"

    run(test)


@pytest.mark.parametrize("path", ["/text", "/report"])
def test_a_page_that_is_being_made_does_not_keep_the_command_from_ending(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, began, made = threading.Event(), threading.Event(), []

    def make(_: Board) -> web.Response:
        began.set()
        release.wait(LONGEST_S)
        made.append(path)
        return web.Response()

    monkeypatch.setattr(live, f"_{path[1:]}", make)

    async def test() -> None:
        async with serving() as served:
            asking = asyncio.ensure_future(served.get(path))
            await until(began.is_set)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)

    run(test)
    assert made == []
    release.set()


def test_metrics_are_written_once_for_all_who_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []

    def write(watched: Watched, form: str) -> str:
        written.append(form)
        return write_metrics(watched, form)

    monkeypatch.setattr(metrics, "write_metrics", write)

    async def test() -> None:
        async with serving(metrics=True) as served:
            for number in (1, 2):
                served.board.update(second(number))
                replies = await asyncio.gather(*(served.get("/metrics") for _ in range(20)))
                assert len({reply.body for reply in replies}) == 1
                assert len(written) == number
            await served.get("/metrics", Accept="application/openmetrics-text")
            assert len(written) == 3

    run(test)


def test_a_record_that_could_not_be_finished_is_said_to_be_incomplete(tmp_path: Path) -> None:
    write_record(tmp_path / "run", https.header(), CUT, https.snapshots())

    async def test() -> None:
        async with serving() as served:
            served.board.over(judged(https.header(), https.result(), path=tmp_path / "run"))
            reply = await served.get("/report")
            assert f"The record {tmp_path / 'run'} is incomplete" in reply.body
            assert 'href="/text"' in reply.body
            assert "HTTP load" in (await served.get("/text")).body

    run(test)


def test_a_report_whose_path_is_not_utf8_is_served(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    write_record(tmp_path / name, https.header(), https.result())

    async def test() -> None:
        async with serving() as served:
            served.board.over(judged(https.header(), https.result(), path=tmp_path / name))
            async with Events(served) as events:
                _, message = await events.next()
                assert message["over"]["record"].endswith("caf?")  # type: ignore[index]
            assert (await served.get("/text")).status == 200
            assert "<script" in (await served.get("/report")).body
            assert served.said == []

    run(test)


def test_the_page_of_a_client_that_has_gone_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    release, made = threading.Event(), []
    wanted: list[Callable[[], bool]] = []
    real = Worker.make

    async def make(worker: Worker, make_page: Callable[[], Any], is_wanted: Callable[[], bool]) -> Any:
        wanted.append(is_wanted)
        return await real(worker, make_page, is_wanted)

    def page(_: Board) -> web.Response:
        release.wait(LONGEST_S)
        made.append("page")
        return web.Response()

    monkeypatch.setattr(Worker, "make", make)
    monkeypatch.setattr(live, "_text", page)

    async def test() -> None:
        async with serving() as served:
            first = asyncio.ensure_future(served.get("/text"))
            await until(lambda: len(wanted) == 1)
            gone = asyncio.ensure_future(served.get("/text"))
            await until(lambda: len(wanted) == 2)
            gone.cancel()
            await until(lambda: not wanted[1]())
            last = asyncio.ensure_future(served.get("/text"))
            await until(lambda: len(wanted) == 3)
            release.set()
            assert ((await first).status, (await last).status) == (200, 200)
            assert made == ["page", "page"]

    run(test)
