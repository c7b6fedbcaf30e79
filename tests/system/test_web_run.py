"""`--web` and `--metrics` of a running command, as a user has them."""

from __future__ import annotations

import http.client
import http.server
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support import https
from tests.support.cli import loadgen, start
from tests.support.recorded import CUT, write_record

_LONGEST_S = 60.0


class _Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def answering() -> Iterator[int]:
    """A web server, and its port."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answer) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            serving.join()


@contextmanager
def played(tmp_path: Path, *options: str, duration: str = "1s") -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A run of a second against a server that answers, and the lines of its stderr as they come."""
    lines: list[str] = []
    with answering() as port:
        url = f"http://127.0.0.1:{port}/"
        process = start("http", url, "-c", "2", "-d", duration, *options, cache=tmp_path, cwd=tmp_path)
        assert process.stderr is not None
        reading = threading.Thread(target=lambda: lines.extend(iter(process.stderr.readline, "")))  # type: ignore[union-attr]
        reading.start()
        try:
            yield process, lines
        finally:
            process.kill()
            reading.join()
            process.communicate()


def said(lines: list[str], pattern: str) -> str:
    """What the group of `pattern` found in a line, as soon as there is one."""
    deadline_s = time.monotonic() + _LONGEST_S
    while time.monotonic() < deadline_s:
        for line in lines:
            if found := re.search(pattern, line):
                return found[1]
        time.sleep(0.02)
    raise AssertionError(f"{pattern} was not said: {lines}")


def get(port: int, path: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_LONGEST_S)
    connection.request("GET", path)
    reply = connection.getresponse()
    assert reply.status == 200
    body = reply.read().decode()
    connection.close()
    return body


def test_the_page_stays_until_ctrl_c_and_the_exit_code_is_that_of_the_run(tmp_path: Path) -> None:
    with played(tmp_path, "--web", "127.0.0.1:0", "--metrics", ":0", "--slo", "errors<1%") as (process, lines):
        metrics = int(said(lines, r"metrics for Prometheus: http://127\.0\.0\.1:(\d+)/metrics"))
        page = int(said(lines, r"live page: http://127\.0\.0\.1:(\d+)/$"))
        assert "<main>" in get(page, "/")
        said(lines, r"(the run is over; its page stays at .* until Ctrl-C)")
        assert process.poll() is None
        assert "HTTP load" in get(page, "/text")
        found = {
            one.name for family in text_string_to_metric_families(get(metrics, "/metrics")) for one in family.samples
        }
        assert {"loadgen_runs_ended_total", "loadgen_target_operations_total"} <= found
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        out = process.stdout.read()
        code = process.wait(_LONGEST_S)
    verdict = re.search(r"Verdict: .*\(exit code (\d)\)", out)
    assert verdict, out
    assert code == int(verdict[1])


def test_a_run_that_was_ended_by_ctrl_c_does_not_wait_for_another(tmp_path: Path) -> None:
    with played(tmp_path, "--web", "127.0.0.1:0", duration="120s") as (process, lines):
        page = int(said(lines, r"live page: http://127\.0\.0\.1:(\d+)/$"))
        said(lines, r"(measuring req/s)")
        with socket.create_connection(("127.0.0.1", page)) as reader:  # a page that is open does not keep the command
            reader.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert reader.recv(4096).startswith(b"HTTP/1.1 200")
            process.send_signal(signal.SIGINT)
            process.wait(_LONGEST_S)
    assert not any("until Ctrl-C" in line for line in lines)


def test_metrics_alone_do_not_keep_the_command(tmp_path: Path) -> None:
    with played(tmp_path, "--metrics", "127.0.0.1:0") as (process, lines):
        assert process.wait(_LONGEST_S) in (0, 1, 3)
    assert not any("until Ctrl-C" in line for line in lines)


@pytest.mark.parametrize("option", ["--web", "--metrics"])
def test_a_port_that_is_taken_is_one_line_before_anything_happens(tmp_path: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as target:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        url = f"http://127.0.0.1:{target.getsockname()[1]}/"
        done = loadgen("http", url, "-d", "1s", option, where, cache=tmp_path, cwd=tmp_path)
        target.setblocking(False)
        with pytest.raises(BlockingIOError):
            target.accept()
    assert done.code == 2
    assert f"{option}: another process listens at {where}" in done.err
    assert len(done.err.strip().splitlines()) <= 2
    assert not (tmp_path / "runs").exists()


def test_the_page_has_the_verdict_also_when_nobody_takes_the_result(tmp_path: Path) -> None:
    with played(tmp_path, "--web", "127.0.0.1:0", "--html", "report.html") as (process, lines):
        assert process.stdout is not None
        process.stdout.close()
        page = int(said(lines, r"live page: http://127\.0\.0\.1:(\d+)/$"))
        said(lines, r"(the run is over; its page stays at .* until Ctrl-C)")
        assert "Verdict: " in get(page, "/text")
        assert (tmp_path / "report.html").exists()
        process.send_signal(signal.SIGINT)
        assert process.wait(_LONGEST_S) == 128 + signal.SIGPIPE


def test_pages_and_metrics_at_one_port_are_refused_in_one_line(tmp_path: Path) -> None:
    done = loadgen("http", "http://127.0.0.1:1/", "--web", ":8089", "--metrics", ":8089", cache=tmp_path, cwd=tmp_path)
    assert done.code == 2
    assert "--web and --metrics cannot both listen at port 8089" in done.err
    assert not (tmp_path / "runs").exists()


def test_ctrl_c_ends_the_pages_of_records_while_one_is_read(tmp_path: Path) -> None:
    write_record(tmp_path / "run", https.header(), CUT, https.snapshots())
    intervals = tmp_path / "run" / "intervals.msgpack"
    intervals.write_bytes(intervals.read_bytes() * 200_000)  # to read it takes minutes
    process = start("web", str(tmp_path), "--listen", "127.0.0.1:0", cache=tmp_path, cwd=tmp_path)
    try:
        assert process.stderr is not None
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", process.stderr.readline())
        assert found
        with socket.create_connection(("127.0.0.1", int(found[1]))) as asking:
            asking.sendall(b"GET /record?run=run HTTP/1.1\r\nHost: localhost\r\n\r\n")
            asking.settimeout(1.0)
            with pytest.raises(TimeoutError):  # the record takes longer
                asking.recv(1)
            process.send_signal(signal.SIGINT)
            assert process.wait(_LONGEST_S) == 0
    finally:
        process.kill()
        process.communicate()
        intervals.unlink()
