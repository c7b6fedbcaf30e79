"""`loadgen spec` as users see it: in a terminal of 80 x 24, through a pipe, into a log, and interrupted."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import termios
import time
from pathlib import Path

import pytest

from tests.support.cli import LOADGEN, alive, command_of, descendants, loadgen
from tests.support.tmux import TMUX, Pane, terminal

in_a_terminal = pytest.mark.skipif(
    TMUX is None and os.environ.get("CI") != "true", reason="tmux is not installed (make debian installs it)"
)

VMS = [f"vm{number:02}" for number in range(1, 17)]
RUN = (
    *("spec", "--vms", "16", "--server", "builtin", "--connections", "5", "--engines", "2", "--out", "run"),
    *("--iterations", "1", "--ramp-up", "500ms", "--warmup", "1s", "--ramp-down", "500ms", "--bound", "rate:100k"),
)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache directory that already has the file set, so that runs begin at once."""
    directory = tmp_path_factory.mktemp("cache")
    assert loadgen("fileset", "--connections", "80", cache=directory, cwd=directory).code == 0
    return directory


def script(cwd: Path, *arguments: str, after: str = "") -> str:
    """Write a script whose command line is short enough not to wrap."""
    (cwd / "go").write_text(f"#!/bin/sh\nexec {LOADGEN} {' '.join([*RUN, *arguments])} {after}\n")
    (cwd / "go").chmod(0o755)
    return "./go"


def is_row(name: str, line: str) -> bool:
    return bool(re.match(rf"[ !]{name} +5 +(-|[\d.]+) +[\d,.]+ +[\d,.]+ +(-|[\d,.]+) +(-|[\d,.]+) +\d+$", line))


def shows_everything(screen: list[str]) -> bool:
    """Whether the screen has title, phase and time left, every VM, the totals and both engines."""
    text = "\n".join(screen)
    return (
        "16 VMs × 5 connections" in text
        and re.search(r"iteration 1/1  measuring \d+/\d+ s .* \d+%  \d:\d\d left", text) is not None
        and [name for name in VMS if any(is_row(name, line) for line in screen)] == VMS
        and any(re.match(r"[ !]all 16 +80 +[\d.]+ ", line) for line in screen)
        and [n for n in (0, 1) if re.search(rf"local/{n} .*active +CPU \d+% .*late p99 [\d.]+ ms", text)] == [0, 1]
    )


def below(pane: Pane) -> list[int]:
    """Return the processes in the terminal, without its shell."""
    return descendants(int(pane.ask("pane_pid")))


def nothing_left(pids: list[int]) -> bool:
    """Whether no process is left within 3 s: a process that was told to end needs a moment."""
    deadline = time.monotonic() + 3
    while left := [command_of(pid) for pid in pids if alive(pid)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
    return True


def as_reported(code: int, text: str) -> bool:
    """Whether the report is on the screen, and the exit code is that of its verdict.

    A machine with other work makes a run INVALID; this test does not check that.
    """
    verdicts = {0: "Verdict: CONFORMING (exit code 0)", 3: "Verdict: INVALID (exit code 3)"}
    return verdicts[code] in text and "Can the load generator be trusted?" in text


def settings(pane: Pane) -> list[object]:
    """Return the terminal's modes: echo, line editing and so on."""
    with Path(pane.ask("pane_tty")).open("rb") as tty:
        return termios.tcgetattr(tty)


@in_a_terminal
def test_sixteen_vms_fit_24_lines_and_the_report_replaces_them(cache: Path, tmp_path: Path) -> None:
    with terminal(tmp_path, {"XDG_CACHE_HOME": str(cache)}) as pane:
        before = settings(pane)
        pane.type(script(tmp_path, "--duration", "5s"))
        pane.until(shows_everything)
        assert pane.ask("cursor_flag") == "0"
        assert pane.unwrapped() == pane.screen()
        started = below(pane)
        assert len(started) > 3
        code = pane.exit_code()
        history = pane.history()
        assert as_reported(code, history)
        assert "late p99" not in history  # the live view has disappeared completely
        assert "Record: run" in pane.screen()
        assert pane.ask("cursor_flag") == "1"
        assert settings(pane) == before
        assert nothing_left(started)


@in_a_terminal
def test_a_terminal_may_change_its_size_during_a_run(cache: Path, tmp_path: Path) -> None:
    with terminal(tmp_path, {"XDG_CACHE_HOME": str(cache)}) as pane:
        pane.type(script(tmp_path, "--duration", "8s"))
        pane.until(shows_everything)
        pane.resize(110, 30)
        wide = pane.until(lambda screen: shows_everything(_without_address(screen)) and "127.0.0.1:" in str(screen))
        assert titles(wide) == 1
        pane.resize(62, 30)  # the terminal wraps the present lines, so they take more lines than were drawn
        narrow = pane.until(lambda screen: " all 16 " in str(screen) and "127.0.0.1" not in str(screen))
        assert titles(narrow) == 1, "\n".join(narrow)
        pane.resize(60, 14)
        small = pane.until(lambda screen: any(re.match(r" VMs \d+-\d+ of 16", line) for line in screen))
        assert titles(small) == 1
        assert pane.unwrapped() == pane.screen()
        pane.resize(80, 24)
        pane.until(shows_everything)
        assert as_reported(pane.exit_code(), pane.history())


def titles(screen: list[str]) -> int:
    return sum("16 VMs ×" in line for line in screen)


def _without_address(screen: list[str]) -> list[str]:
    """The lines as they are on a narrow terminal: without addresses and without charts."""
    return [re.sub(r"  [ ·▁▂▃▄▅▆▇█]+$", "", re.sub(r" +127\.0\.0\.1:\d+", "", line)) for line in screen]


@in_a_terminal
def test_ctrl_c_stops_the_traffic_and_judges_the_measurements(cache: Path, tmp_path: Path) -> None:
    with terminal(tmp_path, {"XDG_CACHE_HOME": str(cache)}) as pane:
        before = settings(pane)
        pane.type(script(tmp_path, "--duration", "300s"))
        pane.until(lambda screen: shows_everything(screen) and " 2/300 s " in str(screen))
        started = below(pane)
        pane.press("C-c")
        assert pane.exit_code(within_s=10) == 130
        history = pane.history()
        assert "Verdict: INTERRUPTED (exit code 130)" in history
        assert "Traceback" not in history
        assert "Record: run" in history
        assert pane.ask("cursor_flag") == "1"
        assert settings(pane) == before
        assert nothing_left(started)
    document = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (document["verdict"], document["exit_code"]) == ("interrupted", 130)
    assert document["targets"][0]["ops_per_s"] > 0


@in_a_terminal
def test_ctrl_c_before_traffic_reports_that_nothing_was_measured(cache: Path, tmp_path: Path) -> None:
    with terminal(tmp_path, {"XDG_CACHE_HOME": str(cache)}) as pane:
        pane.type(script(tmp_path, "--duration", "300s"))
        pane.until(lambda screen: "· starting 16 VMs" in str(screen))
        started = below(pane)
        pane.press("C-c")
        assert pane.exit_code(within_s=10) == 130
        history = pane.history()
        assert "Traceback" not in history
        assert "nothing was measured" in history
        assert pane.ask("cursor_flag") == "1"
        assert nothing_left(started)


@in_a_terminal
def test_no_colour_where_it_is_not_wanted_and_only_json_on_stdout(cache: Path, tmp_path: Path) -> None:
    """The live view is on stderr: a pipe at stdout gets one JSON document and nothing else."""
    with terminal(tmp_path, {"XDG_CACHE_HOME": str(cache), "NO_COLOR": "1"}) as pane:
        pane.type(script(tmp_path, "--duration", "3s", "--json") + " | cat > out.json")
        pane.until(shows_everything)
        assert not _colours("\n".join(pane.screen(colours=True)))
        assert pane.exit_code() == 0  # of cat
        assert "Verdict" not in pane.history()
    document = json.loads((tmp_path / "out.json").read_text())
    assert document["exit_code"] in (0, 3)
    assert len(document["targets"]) == 16


def _colours(text: str) -> set[str]:
    """Return the colour codes in the escape sequences of a text; bold and dim do not count."""
    codes = {code for found in re.findall(r"\x1b\[([\d;]*)m", text) for code in found.split(";")}
    return {code for code in codes if re.fullmatch(r"[349][0-7]|10[0-7]|[34]8", code)}


@in_a_terminal
def test_colour_is_used_by_default(cache: Path, tmp_path: Path) -> None:
    """Otherwise the test before could not fail."""
    with terminal(tmp_path, {"XDG_CACHE_HOME": str(cache)}) as pane:
        pane.type(script(tmp_path, "--duration", "300s"))
        pane.until(shows_everything)
        assert _colours("\n".join(pane.screen(colours=True)))
        pane.press("C-c")
        pane.exit_code()


@in_a_terminal
def test_a_dumb_terminal_gets_plain_lines(cache: Path, tmp_path: Path) -> None:
    with terminal(tmp_path, {"XDG_CACHE_HOME": str(cache)}) as pane:
        (tmp_path / "log").touch()
        pane.tmux("pipe-pane", f"cat > '{tmp_path}/log'")
        pane.type("TERM=dumb " + script(tmp_path, "--duration", "3s"))
        code = pane.exit_code()
        raw = (tmp_path / "log").read_bytes()
    said = raw.partition(b"starting 16 VMs")[2]
    assert b"measuring 1/1 " in said
    assert as_reported(code, said.decode())
    assert b"\x1b" not in said


def test_without_a_terminal_one_line_is_printed_per_interval(cache: Path, tmp_path: Path) -> None:
    done = loadgen(*RUN, "--duration", "4s", "--json", cache=cache, cwd=tmp_path)
    assert done.code == done.document["exit_code"]
    assert done.code in (0, 3), done.err
    lines = [line for line in done.err.splitlines() if not line.startswith(("·", "!"))]
    rates = r"ops/s=[\d.]+ Mbit/s=[\d.]+ p99_ms=(-|[\d.]+) "
    shape = rf"\d+/\d+s [a-z -]+(\d/1 )?(\d/\ds )?conforming=(-|\d+)/80 ({rates})?errors=\d+"
    assert [line for line in lines if not re.match(shape, line)] == []
    assert "\x1b" not in done.err
    measuring = [line for line in lines if " measuring 1/1 " in line]
    # One line per interval, and one line for each phase that begins; some intervals may be late, but not all.
    assert 2 <= len(measuring) <= 6
    assert len(lines) <= 6 + 8


def test_a_reader_that_closes_the_pipe_is_not_reported_as_a_bug() -> None:
    """`loadgen ... | head -1` ends like other programs without a reader, and prints no message."""
    run = subprocess.Popen([LOADGEN, "spec", "--print-plan"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert run.stdout is not None
    run.stdout.close()
    _, said = run.communicate(timeout=30)
    assert said == b""
    assert run.returncode == 128 + signal.SIGPIPE
