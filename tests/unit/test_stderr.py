"""What is said on stderr never waits for its reader, and all of it arrives when there is one."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
from collections.abc import Iterator

import pytest
from rich.console import Console

from coordinator.output.stderr import MOST_BYTES, patient_console, settle, waiting_s
from tests.support.unread import PIPE_BYTES, Ends, a_full_terminal, a_pipe
from tests.support.vms import within


@contextlib.contextmanager
def stderr_at(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with os.fdopen(ends.inner, "w", encoding="utf-8", closefd=False) as stream, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        yield


def say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def read_until(ends: Ends, last: bytes) -> bytes:
    found = bytearray()

    def came() -> bool:
        found.extend(ends.read_all())
        return last in found

    assert within(30, came), bytes(found[-200:])
    return bytes(found)


def test_nothing_is_lost_and_the_order_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    with a_pipe() as ends, stderr_at(ends, monkeypatch):
        read: list[bytes] = []
        reading = threading.Thread(target=lambda: read.append(read_until(ends, b"line 999\n")))
        reading.start()
        with patient_console() as console:
            for number in range(1000):
                say(console, f"line {number}")
        reading.join()
    assert read[0].decode().splitlines() == [f"line {number}" for number in range(1000)]


def test_lines_wait_for_a_reader_that_comes_late(monkeypatch: pytest.MonkeyPatch) -> None:
    with a_pipe(room=0) as ends, stderr_at(ends, monkeypatch), patient_console() as console:
        assert waiting_s(console) == 0.0
        for number in range(1000):
            say(console, f"line {number}")
        assert waiting_s(console) > 0.0
        settle(console)  # ends, although nobody reads
        said = read_until(ends, b"line 999\n")
        assert said.decode().lstrip("x").splitlines() == [f"line {number}" for number in range(1000)]
        settle(console)
        assert waiting_s(console) == 0.0


def test_beyond_the_bound_lines_are_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = MOST_BYTES // 100 + 50
    with a_pipe(room=0) as ends, stderr_at(ends, monkeypatch), patient_console() as console:
        for number in range(lines):
            say(console, f"{number:099}")
        kept = MOST_BYTES // 100
        said = read_until(ends, b"nobody read stderr\n").decode().lstrip("x").splitlines()
        assert [int(line) for line in said[:-1]] == list(range(kept))
        assert said[-1] == f"! {lines - kept} lines are missing here: nobody read stderr"
        say(console, "and on")
        assert read_until(ends, b"and on\n") == b"and on\n"


def test_the_number_of_missing_lines_stands_where_they_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    with a_pipe(room=0) as ends, stderr_at(ends, monkeypatch), patient_console() as console:
        say(console, "x" * PIPE_BYTES)
        say(console, "y" * (MOST_BYTES - PIPE_BYTES - 100))
        say(console, "left out, because it is longer than the rest of the room " * 3)
        say(console, "short")
        said = read_until(ends, b"short\n").decode().splitlines()
    assert said[-2:] == ["! 1 line is missing here: nobody read stderr", "short"]


def test_a_reader_that_has_ended_is_told_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    outer, inner = os.pipe()
    os.close(outer)
    with stderr_at(Ends(-1, inner), monkeypatch), patient_console() as console:
        say(console, "into the void")
        settle(console)
        say(console, "again")
        settle(console)
        assert waiting_s(console) == 0.0
        sys.stderr.write("and by others\n")
    os.close(inner)


def test_a_descriptor_that_another_process_made_non_blocking_is_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    with a_pipe(room=0) as ends, stderr_at(ends, monkeypatch), patient_console() as console:
        os.set_blocking(ends.inner, False)
        say(console, "still said")
        assert read_until(ends, b"still said\n").endswith(b"x" + b"still said\n")


def test_a_terminal_that_takes_nothing_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with a_full_terminal() as ends, stderr_at(ends, monkeypatch):
        with patient_console() as console:
            for _ in range(100):
                say(console, "text " * 20)
        ends.read_all()


def test_streams_without_a_descriptor_are_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)
    with patient_console() as console:
        say(console, "here")
        assert out.getvalue() == "here\n"
        assert waiting_s(console) == 0.0
        settle(console)
    monkeypatch.setattr(sys, "stderr", None)
    with patient_console() as console:
        say(console, "nowhere")
