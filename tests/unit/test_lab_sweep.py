"""Marks of processes: only a process whose coordinator has ended may be ended."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from deploy.lab import sweep
from deploy.lab.sweep import MARK, end_leftovers, mark

SLEEP = (sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()")


@contextmanager
def sleeper(environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process with these variables in its environment; yields it once it runs."""
    process = subprocess.Popen(SLEEP, env={**os.environ, **environment}, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield process
        finally:
            process.kill()


def mark_of_ended_coordinator() -> str:
    """Return the mark of a coordinator that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return f"{ended.pid}:1"


def pids_ended() -> list[int]:
    return [one.pid for one in end_leftovers()]


def test_processes_of_an_ended_coordinator_are_ended() -> None:
    with sleeper({MARK: mark_of_ended_coordinator()}) as orphan:
        assert orphan.pid in pids_ended()
        assert orphan.wait(timeout=5) == -9


def test_ended_processes_are_reported() -> None:
    with sleeper({MARK: mark_of_ended_coordinator()}) as orphan:
        (left,) = [one for one in end_leftovers() if one.pid == orphan.pid]
        assert left.command.startswith(f"{sys.executable} -c import sys")


def test_another_process_with_the_coordinators_pid_is_not_the_coordinator() -> None:
    pid, _, ticks = mark()[MARK].partition(":")
    with sleeper({MARK: f"{pid}:{int(ticks) - 1}"}) as orphan:
        assert orphan.pid in pids_ended()


@pytest.mark.parametrize("text", ["", ":", "1", "x:y", "{pid}", "-1:-1", "²:1", f"{1 << 70}:x", ":5"])
def test_an_invalid_mark_has_no_effect(text: str) -> None:
    text = text.format(pid=os.getpid())  # not as a parameter: all workers of pytest-xdist must have equal test names
    assert not sweep._is_orphan(f"A=b\0{MARK}={text}\0".encode())


def test_a_process_without_a_mark_is_left_alone() -> None:
    assert not sweep._is_orphan(b"")
    assert not sweep._is_orphan(f"X{MARK}=999999999:1\0".encode())


def test_labs_of_running_coordinators_are_left_alone() -> None:
    with sleeper(mark()) as ours, sleeper({}) as stranger:
        ended = pids_ended()
        assert not {ours.pid, stranger.pid} & set(ended)
        assert ours.poll() is None
        assert stranger.poll() is None
