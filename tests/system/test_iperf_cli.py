"""`loadgen iperf` as users run it: the command at both ends, and stock iperf3 at either end."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import coordinator.record
from loadgen.verdict.network_rules import NetworkRules
from tests.support.cli import LOADGEN, alive, descendants, loadgen, start
from tests.support.disturbed import disturbed, network_code
from tests.support.lab import IPERF3, needs_iperf3
from tests.support.probes import stock_server
from tests.support.tmux import TMUX, terminal

QUICK = ("-t", "300ms", "--repeats", "1")


@dataclass
class Serving:
    """A running `loadgen iperf --server`; `lines` are the lines that it has printed on stdout."""

    process: subprocess.Popen[str]
    port: str
    lines: list[str] = field(default_factory=list)

    def end(self) -> int:
        """Send Ctrl-C and wait; returns the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)


@contextlib.contextmanager
def serving(tmp_path: Path) -> Iterator[Serving]:
    process = start("iperf", "--server", "--port", "0", cache=tmp_path, cwd=tmp_path)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        said = re.fullmatch(
            r"iperf3's protocol is served on 127\.0\.0\.1:(\d+)  \(Ctrl-C ends it\)\n", process.stderr.readline()
        )
        assert said is not None
        server = Serving(process, said[1])
        stdout = process.stdout
        listening = threading.Thread(target=lambda: server.lines.extend(line.rstrip("\n") for line in stdout))
        listening.start()
        try:
            yield server
        finally:
            process.kill()
            process.wait()
            listening.join()
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """One server for all tests that do not end it."""
    with serving(tmp_path_factory.mktemp("server")) as found:
        yield found


def validated(document: dict[str, Any]) -> dict[str, Any]:
    schema = json.loads((Path(coordinator.record.__file__).parent / "run.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator(schema).validate(document)
    return document


def test_a_run_ends_with_the_table_and_a_record_that_shows_the_same(server: Serving, tmp_path: Path) -> None:
    arguments = ("--port", server.port, "--windows", "64K,auto", "--out", "run", *QUICK)
    done = loadgen("iperf", "127.0.0.1", *arguments, cache=tmp_path, cwd=tmp_path)
    assert done.code == network_code(done.out, 0), done.err
    table = done.out[done.out.index("TCP throughput by window in Mbit/s") :].splitlines()
    assert table[1].split() == ["window", "receive", "spread", "send", "spread", "Linux*", "Xen*"]
    assert [line.split()[0] for line in table[3:5]] == ["64K", "auto"]
    assert f"(exit code {done.code})" in done.out
    assert done.code == 3 or "Verdict: VALID" in done.out
    assert len(re.findall(r"^done \d/4 ", done.err, re.MULTILINE)) == 4
    assert loadgen("show", "run", cache=tmp_path, cwd=tmp_path).out == done.out
    assert len(validated(json.loads((tmp_path / "run" / "run.json").read_text("utf-8")))["results"]) == 4


def test_documented_fields_are_present(server: Serving, tmp_path: Path) -> None:
    arguments = ("-p", server.port, "-w", "64K", "-P", "2", "--bidir", "--send", "-J", *QUICK)
    document = validated(loadgen("iperf", "127.0.0.1", *arguments, cache=tmp_path, cwd=tmp_path).document)
    assert [(row["direction"], row["window_bytes"]) for row in document["results"]] == [
        ("send", 65536),
        ("bidir", 65536),
    ]
    for row in document["results"]:
        (run,) = row["runs"]
        assert row["mbit_per_s"] > 0
        assert row["cpu_s_per_gb"] > 0
        end = run["end"]
        slack = NetworkRules().max_count_skew * end["sum_sent"]["bytes"] + (2 << 20)  # as of the check of the counts
        assert 0 < end["sum_received"]["bytes"] <= end["sum_sent"]["bytes"] + slack
        assert end["sum_sent"]["bytes"] == sum(
            one["sender"]["bytes"] for one in end["streams"] if one["sender"]["sender"]
        )
    assert "sum_received_bidir_reverse" in document["results"][1]["runs"][0]["end"]
    assert [path.name.endswith("-iperf") for path in (tmp_path / "runs").iterdir()] == [True]


@pytest.mark.parametrize(("arguments", "last"), [(("-u",), "UDP (one run)"), (("--rr",), "Request/response")])
def test_other_kinds_of_tests_have_their_own_tables(
    server: Serving, tmp_path: Path, arguments: tuple[str, ...], last: str
) -> None:
    done = loadgen("iperf", "127.0.0.1", "-p", server.port, *arguments, *QUICK, cache=tmp_path, cwd=tmp_path)
    assert done.code == network_code(done.out, 0), done.out + done.err
    assert last in done.out


def test_below_the_required_rate_the_exit_code_is_1(server: Serving, tmp_path: Path) -> None:
    arguments = ("-p", server.port, "-w", "auto", "--send", "--at-least", "900000G", *QUICK)
    done = loadgen("iperf", "127.0.0.1", *arguments, cache=tmp_path, cwd=tmp_path)
    assert done.code == network_code(done.out, 1)
    assert done.code == 3 or "Verdict: NOT CONFORMING (exit code 1)" in done.out


def test_an_unreachable_server_is_reported_in_one_line_and_leaves_no_result(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = str(unused.getsockname()[1])
        done = loadgen("iperf", "127.0.0.1", "-p", port, *QUICK, cache=tmp_path, cwd=tmp_path)
    assert (done.code, done.out) == (1, "")
    assert re.search(rf"^loadgen: .*{port}", done.err, re.MULTILINE)
    assert "Traceback" not in done.err


@needs_iperf3
def test_stock_iperf3_can_be_the_other_end(tmp_path: Path) -> None:
    with stock_server() as port:
        arguments = ("-p", str(port), "-w", "auto", "--send", "-t", "1", "--repeats", "1", "--json")
        done = loadgen("iperf", "127.0.0.1", *arguments, cache=tmp_path, cwd=tmp_path)
    assert done.code == 0 or disturbed(done.document), done.err
    document = validated(done.document)
    assert document["peer"] is None  # a stock server does not report its version
    assert document["results"][0]["mbit_per_s"] > 0


@needs_iperf3
def test_a_server_reports_each_test_and_its_counters_at_the_end(tmp_path: Path) -> None:
    assert IPERF3 is not None
    with serving(tmp_path) as server:
        subprocess.run(
            [IPERF3, "-c", "127.0.0.1", "-p", server.port, "-n", "10M"], capture_output=True, timeout=20, check=True
        )
        assert server.end() == 0
    first, counters = server.lines
    assert first.startswith("127.0.0.1  TCP")
    assert re.search(r"received [\d,.]+ Mbit/s  CPU [\d.]+ s  done$", first), first
    assert re.match(r"connections=2 tests_done=1 tests_broken=0 ", counters)


@pytest.mark.parametrize(
    ("arguments", "running", "reason"),
    [
        (("-w", "auto", "--receive"), "Mbit/s=", "nothing arrived in the last "),
        (("--rr",), "transactions/s=", "no answer came until the end of the test for "),
    ],
    ids=["receive", "rr"],
)
def test_a_server_that_freezes_until_the_end_does_not_conform(
    tmp_path: Path, arguments: tuple[str, ...], running: str, reason: str
) -> None:
    """It goes on after the end, so the results are complete; the mean rate and the median look good."""
    with serving(tmp_path) as server:
        options = (*arguments, "-p", server.port, "-t", "4", "--repeats", "1")
        run = start("iperf", "127.0.0.1", *options, cache=tmp_path, cwd=tmp_path)
        try:
            assert run.stderr is not None
            while running not in (line := run.stderr.readline()):
                assert line
            server.process.send_signal(signal.SIGSTOP)
            time.sleep(4)
            server.process.send_signal(signal.SIGCONT)
            out, err = run.communicate(timeout=60)
        finally:
            run.kill()
    assert run.returncode == network_code(out, 1), out + err
    said = " ".join(out.split())
    assert run.returncode == 3 or "Verdict: NOT CONFORMING" in said
    assert reason in said
    if "--rr" in arguments:
        assert re.search(r"auto [\d,]+ .*≥ [\d,]+ ≥ [\d,]+ [\d,.]+ 1 Verdict", said), said


def test_a_server_that_is_killed_in_the_middle_leaves_what_was_measured(tmp_path: Path) -> None:
    """Also in the first test of a run."""
    with serving(tmp_path) as server:
        run = start("iperf", "127.0.0.1", "-p", server.port, "-t", "4", "--repeats", "1", cache=tmp_path, cwd=tmp_path)
        try:
            assert run.stderr is not None
            while "Mbit/s=" not in (line := run.stderr.readline()):
                assert line
            server.process.kill()
            out, err = run.communicate(timeout=60)
        finally:
            run.kill()
    assert run.returncode == 3, out + err
    said = " ".join(out.split())
    assert re.search(r"Verdict: INVALID .* 127\.0\.0\.1:\d+ (broke|closed) .* 0 of \d+ tests", said), said
    assert re.search(r"A test was cut \(receive 16K, [123]\.\d s of 4 s\): its row shows", said), said
    assert re.search(r" 16K [\d,.]+ ", said), said


def test_ctrl_c_ends_the_run_and_judges_the_finished_tests(server: Serving, tmp_path: Path) -> None:
    arguments = ("-p", server.port, "-w", "auto", "--send", "-t", "1s", "--repeats", "50", "--out", "run")
    run = start("iperf", "127.0.0.1", *arguments, cache=tmp_path, cwd=tmp_path)
    assert run.stderr is not None
    for line in run.stderr:
        if line.startswith("done 1/50"):
            break
    below = descendants(run.pid)
    run.send_signal(signal.SIGINT)
    out, _ = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "Verdict: INTERRUPTED (exit code 130)" in out
    assert re.search(r"The run was interrupted after [12] of 50 tests\.", out)
    assert loadgen("show", "run", cache=tmp_path, cwd=tmp_path).out == out
    assert below
    assert not any(alive(pid) for pid in below)


def test_ctrl_c_in_the_first_test_judges_what_was_measured(server: Serving, tmp_path: Path) -> None:
    arguments = ("-p", server.port, "-w", "auto", "-R", "-t", "30s", "--repeats", "1", "--out", "run")
    run = start("iperf", "127.0.0.1", *arguments, cache=tmp_path, cwd=tmp_path)
    assert run.stderr is not None
    while "Mbit/s=" not in (line := run.stderr.readline()):
        assert line
    run.send_signal(signal.SIGINT)
    out, _ = run.communicate(timeout=60)
    assert run.returncode == 130
    said = " ".join(out.split())
    assert "The run was interrupted after 0 of 1 tests." in said
    assert re.search(r"A test was cut \(receive auto, [\d.]+ s of 30 s\): its row shows", said)
    assert re.search(r"spread Linux\* Xen\* ─+ auto [\d,.]+ - ", said), said
    document = json.loads((tmp_path / "run" / "run.json").read_text())
    assert document["results"][0]["mbit_per_s"] > 0


def test_a_killed_run_can_be_shown(server: Serving, tmp_path: Path) -> None:
    arguments = ("-p", server.port, "-w", "auto", "--send", "-t", "300ms", "--repeats", "50", "--out", "run")
    run = start("iperf", "127.0.0.1", *arguments, cache=tmp_path, cwd=tmp_path)
    assert run.stderr is not None
    for line in run.stderr:
        if line.startswith("done 2/50"):
            break
    run.kill()
    run.communicate(timeout=60)
    shown = loadgen("show", "run", cache=tmp_path, cwd=tmp_path)
    assert shown.code == 0
    assert "CUT  The run was cut" in shown.out
    assert re.search(r"interrupted after [23] of 50 tests", shown.out)


@pytest.mark.skipif(
    TMUX is None and os.environ.get("CI") != "true", reason="tmux is not installed (make debian installs it)"
)
def test_a_terminal_shows_progress_and_then_the_report(server: Serving, tmp_path: Path) -> None:
    with terminal(tmp_path, {}) as pane:
        (tmp_path / "go").write_text(
            f"#!/bin/sh\nexec {LOADGEN} iperf 127.0.0.1 -p {server.port} -w auto --send -t 1s --repeats 3 --out run\n"
        )
        (tmp_path / "go").chmod(0o755)
        pane.type("./go")
        # One test is over and another runs; between them, the screen shows the finished one as the newest.
        wanted = [r"test [23]/3  send auto [23]/3 .* \d+%  0:0\d left", r"^ send auto 1/3  [\d,.]+( |$)"]
        pane.until(lambda screen: all(re.search(one, "\n".join(screen), re.MULTILINE) for one in wanted))
        code = pane.exit_code()
        report = pane.history()
        assert code == network_code(report, 0)
        assert code == 3 or "Verdict: VALID (exit code 0)" in report
        assert "left" not in report.split("TCP throughput by window")[-1]  # the live view has disappeared
        assert pane.ask("cursor_flag") == "1"
