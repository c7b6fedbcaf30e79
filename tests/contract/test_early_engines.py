"""Engines that start before the rest of a run is imported: their use, their start, and their end."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from coordinator.fleet.local import LocalFleet
from loadgen.agent import children
from loadgen.agent.children import EarlyEngines, EngineChild
from tests.support.cli import alive
from tests.support.engines import needs_compiled

_START_ONLY = """
import json, sys
from loadgen.agent import children
def tell(mark=""):
    print(json.dumps(sorted(sys.modules)))
    raise KeyboardInterrupt
children.start_engine = tell
from coordinator.cli import main
sys.exit(main())
"""
"""A command that is interrupted before it starts its first engine, and prints the modules imported so far."""

_PLAYS_HTTP = """
import json, sys
from coordinator.experiment import session
from coordinator.kinds.catalog import load_kind
from coordinator.record.catalog import KINDS
kind = load_kind("http")
KINDS["http"]
print(json.dumps(sorted(sys.modules)))
"""
"""What `loadgen http` imports before its first request, and the modules imported then."""

_OF_OTHERS = (
    "compare",
    "find",
    "forward",
    "headroom",
    "iperf",
    "isolate",
    "pack",
    "paper",
    "relative",
    "repeats",
    "sweep",
)

HTTP, SPEC = ("http", "http://127.0.0.1:9/"), ("spec", "--vms", "2", "--server", "builtin")


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _START_ONLY, *arguments], capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize("arguments", [HTTP, SPEC], ids=["http", "spec"])
def test_engines_start_before_the_modules_that_play_are_imported(arguments: tuple[str, ...]) -> None:
    done = command(*arguments)
    modules = set(json.loads(done.stdout))
    assert not modules & {"aiohttp", "coordinator.experiment.session", "msgpack", "numpy", "rich.console", "uvloop"}
    assert done.returncode == 130
    assert done.stderr.strip() == "loadgen: interrupted"


def test_a_run_of_http_does_not_wait_for_the_results_of_other_kinds() -> None:
    printed = subprocess.run([sys.executable, "-c", _PLAYS_HTTP], capture_output=True, text=True, check=True).stdout
    modules = set(json.loads(printed))
    assert "coordinator.record.http" in modules
    parts = ("coordinator.experiment", "coordinator.kinds", "coordinator.record", "coordinator.output.terminal")
    others = {f"{part}.{name}{end}" for part in parts for name in _OF_OTHERS for end in ("", "_result", "_report")}
    assert not modules & others
    assert "coordinator.output.text" not in modules


@needs_compiled
def test_an_engine_imports_what_plays_before_it_has_an_assignment() -> None:
    with EarlyEngines(1) as early:
        maps = Path(f"/proc/{early._processes[0].pid}/maps")
        give_up_s = time.monotonic() + 30
        while "/measure/_fold." not in maps.read_text():  # the compiled part that only a player imports
            assert time.monotonic() < give_up_s
            time.sleep(0.02)


@pytest.mark.parametrize(
    "arguments",
    [
        (*HTTP, "--print-plan"),
        (*SPEC, "--print-plan"),
        (*HTTP, "--engines", "0"),
        (*HTTP, "--hdr", "without-a-suffix"),
        (*SPEC, "--connections", "0"),
        ("http",),
        ("http", "--help"),
    ],
)
def test_nothing_starts_when_nothing_is_played(arguments: tuple[str, ...]) -> None:
    done = command(*arguments)
    assert "sys" not in done.stdout  # the list of modules
    assert done.returncode in (0, 2)


def test_engines_that_are_not_taken_end() -> None:
    with EarlyEngines(2) as early:
        pids = [process.pid for process in early._processes]
        assert all(map(alive, pids))
    assert len(pids) == 2
    assert not any(map(alive, pids))
    assert early.take() is None


def test_the_fleet_of_this_machine_uses_them_first_and_starts_the_others() -> None:
    async def scenario(early: EarlyEngines) -> tuple[int, ...]:
        fleet = LocalFleet(2, early)
        try:
            await fleet.open()
            assert early.take() is None
            return fleet.pids
        finally:
            await fleet.close()

    with EarlyEngines(1) as early:
        (first,) = [process.pid for process in early._processes]
        pids = asyncio.run(scenario(early))
    assert pids[0] == first
    assert len(set(pids)) == 2
    assert not any(map(alive, pids))


def test_where_none_can_be_started_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(mark: str = "") -> None:
        raise OSError

    monkeypatch.setattr(children, "start_engine", refuse)
    with EarlyEngines(2) as early:
        assert early.take() is None


def test_an_engine_ends_when_its_take_over_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> int:
        process = children.start_engine()
        monkeypatch.setattr(asyncio.get_running_loop(), "connect_write_pipe", _cancelled)
        with pytest.raises(asyncio.CancelledError):
            await EngineChild.of(process)
        return process.pid

    assert not alive(asyncio.run(scenario()))


async def _cancelled(*_: object) -> None:
    raise asyncio.CancelledError
