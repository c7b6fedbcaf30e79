"""`loadgen` in unusual situations: interrupted early, in a terminal that closes, without readers of its output."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.cli import LOADGEN, environment, loadgen, start

SMALL = (
    *("spec", "--vms", "1", "--server", "builtin", "--connections", "5", "--bound", "rate:100k", "--out", "run"),
    *("--iterations", "1", "--ramp-up", "500ms", "--warmup", "0s", "--duration", "2s", "--ramp-down", "0s"),
)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache directory whose file set is shared by the tests of this module."""
    cache = tmp_path_factory.mktemp("cache")
    loadgen("fileset", "--connections", "5", cache=cache, cwd=cache)
    return cache


def verdict(run: Path) -> str:
    return str(json.loads((run / "run.json").read_text())["verdict"])


def until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def read_until(process: subprocess.Popen[str], words: str) -> None:
    assert process.stderr is not None
    while words not in (line := process.stderr.readline()):
        assert line, "the command ended before this line"


def test_an_interrupt_while_the_file_set_is_made_ends_at_once(tmp_path: Path) -> None:
    process = start("spec", "--vms", "1", "--connections", "500", "--out", "run", cache=tmp_path, cwd=tmp_path)
    made = tmp_path / "loadgen" / "fileset" / "file_set"
    until(made.is_dir)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "nothing was measured" in err
    assert "Traceback" not in err
    assert len(list(made.iterdir())) < 300  # of 352


def test_a_sweep_interrupted_between_points_prints_the_finished_points(cache: Path, tmp_path: Path) -> None:
    process = start(*SMALL, "--vms", "1,2", cache=cache, cwd=tmp_path)
    read_until(process, "(2 of 2)")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "1 of 2 points was measured" in out
    assert "Conforming connections, all VMs together" in out
    assert "interrupted" in err
    assert loadgen("show", "run", cache=cache, cwd=tmp_path).code == 0


def test_many_interrupts_do_not_lose_the_result(cache: Path, tmp_path: Path) -> None:
    process = start(*SMALL, "--duration", "20s", cache=cache, cwd=tmp_path)
    read_until(process, "measuring")
    for _ in range(4):
        process.send_signal(signal.SIGINT)
        time.sleep(0.02)
    out, _ = process.communicate(timeout=60)
    assert "Verdict: INTERRUPTED" in out
    assert verdict(tmp_path / "run") == "interrupted"


def test_an_ignored_hang_up_stays_ignored(cache: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        ["nohup", LOADGEN, *SMALL],
        cwd=tmp_path,
        env=environment(cache),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    read_until(process, "measuring")
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=60)
    assert process.returncode != 130
    assert verdict(tmp_path / "run") != "interrupted"


def test_when_a_terminal_closes_the_traffic_ends_and_the_run_is_judged(cache: Path, tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [LOADGEN, *SMALL, "--duration", "20s"],
        cwd=tmp_path,
        env={**environment(cache), "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    seen = b""
    while b"measuring" not in seen:
        seen += os.read(ours, 65536)
    os.close(ours)  # the kernel sends SIGHUP; from now on, drawing fails
    process.wait(timeout=60)
    assert verdict(tmp_path / "run") == "interrupted"


def test_stderr_need_not_be_read(cache: Path, tmp_path: Path) -> None:
    process = start(*SMALL, "--json", cache=cache, cwd=tmp_path)
    assert process.stderr is not None
    assert process.stdout is not None
    process.stderr.readline()
    process.stderr.close()
    document = json.loads(process.stdout.read())
    process.stdout.close()
    assert process.wait(timeout=60) == document["exit_code"]
    assert verdict(tmp_path / "run") == document["verdict"]


@pytest.mark.parametrize("closed", [0, 2])
def test_a_stream_that_is_closed_from_the_start_does_not_disturb(closed: int, cache: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [LOADGEN, *SMALL, "--json"],
        cwd=tmp_path,
        env=environment(cache),
        stdout=subprocess.PIPE,
        preexec_fn=lambda: os.close(closed),
        timeout=60,
        check=False,
    )
    assert done.returncode == json.loads(done.stdout)["exit_code"]


PRINTED = [["doctor"], ["completion", "bash"], ["spec", "--print-plan"]]


@pytest.mark.parametrize("arguments", PRINTED, ids=lambda value: value[0])
def test_a_result_without_a_reader_ends_the_command_like_sigpipe(arguments: list[str], tmp_path: Path) -> None:
    end, pipe = os.pipe()
    os.close(end)
    done = subprocess.run(
        [LOADGEN, *arguments],
        env=environment(tmp_path),
        stdout=pipe,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(pipe)
    assert done.returncode == 128 + signal.SIGPIPE
    assert done.stderr == ""


@pytest.mark.parametrize("arguments", PRINTED, ids=lambda value: value[0])
def test_an_unwritable_result_is_reported_in_one_line(arguments: list[str], tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [LOADGEN, *arguments],
            env=environment(tmp_path),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr == "loadgen: the result cannot be printed: stdout: No space left on device\n"


def test_a_host_without_an_address_is_reported_in_words(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "targets.toml").write_text('[[target]]\nname = "one"\nhost = "nowhere.invalid"\nport = 80\n')
    done = loadgen("spec", "--targets", "targets.toml", "--connections", "5", cache=cache, cwd=tmp_path)
    assert done.code == 1
    assert "target one (nowhere.invalid:80): " in done.err
    assert "unknown error" not in done.err.lower()


def test_too_small_a_limit_of_open_files_is_refused_before_a_file_set_is_made(tmp_path: Path) -> None:
    done = subprocess.run(
        ["prlimit", "--nofile=400:400", LOADGEN, *SMALL, "--connections", "400", "--engines", "4"],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "open files in a server, but the hard limit is 400" in done.stderr
    assert not (tmp_path / "loadgen").exists()
