"""The board: what pages are told, who is dropped, and that nothing of it reaches the run."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coordinator.output.passed_on import PassedOn
from coordinator.output.web import board as boards
from coordinator.output.web.board import Board, Reader
from coordinator.output.web.pictures import picture_of, points_of, tables_of
from tests.support import https
from tests.support.judged import judged
from tests.support.views import run_view
from tests.unit.test_live_metrics import VIEWS

Told = tuple[str, dict[str, Any]]


def told(message: bytes) -> Told:
    event, data, *rest = message.decode().split("\n")
    assert rest == ["", ""]
    return event.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def all_told(reader: Reader) -> list[Told]:
    async def read() -> list[Told]:
        found = []
        while not reader._pending.empty():
            found.append(told(await reader.next()))
        return found

    return asyncio.run(read())


def a_board(said: list[str] | None = None) -> Board:
    board = Board((said if said is not None else []).append)
    board.begin("spec")
    return board


def at(interval: int, elapsed_s: float) -> Any:
    return dataclasses.replace(run_view(2), interval=interval, elapsed_s=elapsed_s)


def fail(*_: object) -> None:
    raise AssertionError("called")


def test_a_reader_is_first_told_all_that_is_known() -> None:
    board = a_board()
    board.update(at(0, 1))
    board.update(at(1, 2))
    board.say("a line <b>")
    with board.reading(fail) as reader:
        assert reader is not None
        ((event, message),) = all_told(reader)
    assert event == "all"
    assert message["picture"]["title"].startswith("SPECweb99-style")
    assert [row["cells"][0] for row in message["tables"][0]["rows"]] == ["vm1", "vm2"]
    assert len(message["times"]) == 2
    assert [len(plot["values"]) for plot in message["plots"].values()] == [2, 2, 2, 2]
    assert message["lines"] == [[65.25, 65.375]] * 2
    assert message["said"] == ["a line <b>"]
    assert message["over"] is None


def test_a_new_second_is_a_picture_and_the_time_between_is_not() -> None:
    board = a_board()
    with board.reading(fail) as reader:
        for interval, elapsed_s in ((0, 1.0), (0, 1.5), (1, 2.0)):
            board.update(at(interval, elapsed_s))
        assert reader is not None
        found = all_told(reader)
    assert [event for event, _ in found] == ["all", "picture", "where", "picture"]
    assert found[2][1]["where"]["elapsed_s"] == 1.5
    assert found[3][1]["at_s"] >= 0


def test_each_run_of_an_experiment_begins_anew_and_the_finished_ones_are_listed() -> None:
    board = a_board()
    board.update(at(0, 1))
    board.ended("vms-1", judged(https.header(), https.result()))
    board.begin("http")
    with board.reading(fail) as reader:
        assert reader is not None
        ((_, message),) = all_told(reader)
    assert message["times"] == []
    assert message["plots"] == {}
    assert "picture" not in message
    assert [run["name"] for run in message["runs"]] == ["vms-1"]
    assert board.watched.ended == {judged(https.header(), https.result()).result.verdict.value: 1}


def test_the_result_stays() -> None:
    board = a_board()
    board.over(judged(https.header(), https.result()))
    with board.reading(fail) as reader:
        assert reader is not None
        ((_, message),) = all_told(reader)
    assert message["over"]["verdict"] == https.result().verdict.value
    assert message["over"]["reasons"] == list(https.result().reasons)


def test_a_reader_that_does_not_read_is_dropped_and_others_are_not() -> None:
    board = a_board()
    aborted = []
    with board.reading(lambda: aborted.append("slow")) as slow, board.reading(fail) as quick:
        assert slow is not None
        assert quick is not None
        for second in range(40):
            board.update(at(second, second))
            all_told(quick)
        assert aborted == ["slow"]
        assert slow.dropped
        assert board.readers == 1
        assert slow._pending.qsize() <= boards._PENDING


def test_a_message_is_written_once_for_all_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    real: Callable[[str, Any], bytes] = boards._message

    def count(event: str, document: Any) -> bytes:
        written.append(event)
        return real(event, document)

    monkeypatch.setattr(boards, "_message", count)
    board = a_board()
    board.update(at(0, 1))
    assert written == []  # nobody reads
    with board.reading(fail), board.reading(fail), board.reading(fail):
        board.update(at(1, 2))
    assert written == ["all"] * 3 + ["picture"]


def test_too_many_readers_are_refused() -> None:
    board = a_board()
    with board.reading(fail), pytest.MonkeyPatch.context() as patch:
        patch.setattr(boards, "_MAX_READERS", 1)
        with board.reading(fail) as second:
            assert second is None


def test_a_long_run_keeps_a_bounded_history(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boards, "_MAX_POINTS", 10)
    board = a_board()
    for second in range(100):
        board.update(at(second, second))
    with board.reading(fail) as reader:
        assert reader is not None
        ((_, message),) = all_told(reader)
    assert len(message["times"]) <= 10
    assert {len(plot["values"]) for plot in message["plots"].values()} == {len(message["times"])}
    assert len(message["lines"]) <= 60


def test_a_bug_in_a_picture_is_said_once_and_does_not_reach_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    board = a_board(said)
    monkeypatch.setattr(boards, "picture_of", lambda _: 1 / 0)
    board.update(at(0, 1))
    board.update(at(1, 1))
    board.over(judged(https.header(), https.result()))
    assert said == ["the live page stopped, the run goes on: ZeroDivisionError: division by zero"]


class Shown:
    def __init__(self) -> None:
        self.seen: list[Any] = []

    def __enter__(self) -> Shown:
        self.seen.append("entered")
        return self

    def __exit__(self, *_: object) -> None:
        self.seen.append("left")

    def update(self, view: Any) -> None:
        self.seen.append(view)


def test_the_terminal_is_shown_everything_first() -> None:
    board, shown = a_board(), Shown()
    view = at(3, 4)
    with PassedOn(shown, board) as watching:
        watching.update(view)
        assert board.watched.view is view
    assert shown.seen == ["entered", view, "left"]


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: type(view).__name__)
def test_each_view_has_a_picture_with_whole_tables(view: Any) -> None:
    picture = picture_of(view)
    assert picture.title
    assert picture.where.phase
    for table in tables_of(view):
        assert all(len(row.cells) == len(table.columns) for row in table.rows)
        names = [row.cells[0] for row in table.rows]
        assert len(names) == len(set(names))
    assert len(points_of(view)) in (0, len(tables_of(view)[0].rows) if tables_of(view) else 0)


def test_a_value_that_is_no_view_has_an_empty_picture() -> None:
    assert picture_of("text").title == ""
    assert tables_of("text") == ()


def test_problems_are_marked() -> None:
    view = run_view(3, failing=(1,))
    picture = picture_of(view)
    assert [one.bad for one in picture.headlines] == [True, False, False, False, True]
    assert [row.bad for row in tables_of(view)[0].rows] == [False, True, False]
    assert picture.so_far == "57 of 60 connections conform in this iteration so far."


def all_of(board: Board) -> dict[str, Any]:
    """What a new reader is told."""
    with board.reading(fail) as reader:
        assert reader is not None
        ((_, message),) = all_told(reader)
    return message


def test_names_that_are_not_utf8_do_not_end_the_page() -> None:
    said: list[str] = []
    board = a_board(said)
    name = "caf\udce9"
    with board.reading(fail) as reader:
        board.say(f"the record is {name}")
        board.update(dataclasses.replace(at(0, 1), title=name, notices=(name,)))
        board.ended(name, judged(https.header(), https.result()))
        board.over(judged(https.header(), https.result(), path=Path("runs") / name))
        assert reader is not None
        found = [event for event, _ in all_told(reader)]
    assert found == ["all", "said", "picture", "runs", "over"]
    message = all_of(board)
    assert message["over"]["record"] == "runs/caf?"
    assert message["picture"]["title"] == "caf?"
    assert said == []


def test_a_notice_that_comes_within_a_second_is_shown_at_once() -> None:
    board = a_board()
    with board.reading(fail) as reader:
        board.update(at(0, 1))
        board.update(dataclasses.replace(at(0, 1.5), notices=("machine b is lost",)))
        assert reader is not None
        *_, (event, message) = all_told(reader)
    assert (event, message["notices"]) == ("where", ["machine b is lost"])


def test_a_page_knows_that_it_is_between_two_runs() -> None:
    board = a_board()
    board.update(at(0, 1))
    assert not all_of(board)["between"]
    board.ended("vms-1", judged(https.header(), https.result()))
    assert all_of(board)["between"]
    board.begin("spec")
    assert not all_of(board)["between"]


def test_the_moment_for_metrics_is_the_same_until_something_changes() -> None:
    board = a_board()
    seen = [board.watched]
    changes: list[Callable[[], None]] = [
        lambda: board.update(at(0, 1)),
        lambda: board.ended("run", judged(https.header(), https.result())),
        lambda: board.begin("http"),
    ]
    for change in changes:
        change()
        assert board.watched is board.watched
        assert all(board.watched is not one for one in seen)
        seen.append(board.watched)
