"""`docs/from-wrk-oha-k6-iperf3.md`: each command line of loadgen in its tables does what the page says."""

from __future__ import annotations

import contextlib
import http.server
import re
import shlex
import signal
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import loadgen, start
from tests.support.tls_files import make_tls_files

PAGE = Path(__file__).parents[2] / "docs" / "from-wrk-oha-k6-iperf3.md"
SHORTER = {" -d 30s": " -d 1s", " -n 10000": " -n 200", " -t 10s": " -t 300ms"}
SKIPPED = ("loadgen iperf --server", "loadgen iperf HOST", "loadgen show")  # other tests and this one's server


def commands() -> list[str]:
    """The command lines of loadgen in the tables of the page, each once."""
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    found = [command for row in rows for command in re.findall(r"`(loadgen [^`]+)`", row)]
    return list(dict.fromkeys(found))


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(b"hello")

    do_HEAD = do_POST = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        return None


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def handle_error(self, *_: Any) -> None:
        """Say nothing: clients close connections."""


@contextlib.contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[int]:
    with _Server(("127.0.0.1", 0), _Handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@contextlib.contextmanager
def measuring(directory: Path) -> Iterator[str]:
    """The port of `loadgen iperf --server`, the line of the page, on any free port."""
    with start("iperf", "--server", "-p", "0", cache=directory, cwd=directory) as server:
        assert server.stderr is not None
        try:
            line = server.stderr.readline()
            found = re.search(r":(\d+)", line)
            assert found is not None, line
            yield found[1]
        finally:
            server.send_signal(signal.SIGINT)
            server.communicate(timeout=20)


@pytest.mark.timeout(300)
def test_each_command_line_runs(tmp_path: Path) -> None:
    files = make_tls_files(tmp_path)
    for source, name in ((files.authority, "ca.pem"), (files.certificate, "client.pem"), (files.key, "client.key")):
        (tmp_path / name).write_bytes(source.read_bytes())
    context = files.server_context()
    lines = [line for line in commands() if not line.startswith(SKIPPED)]
    assert len(lines) > 40
    with serving() as plain, serving(context) as secure, measuring(tmp_path) as probed:
        (tmp_path / "urls.txt").write_text(f"# a list\nhttp://127.0.0.1:{plain}/a\nGET http://127.0.0.1:{plain}/b\n")
        here = {
            "http://192.0.2.7/": f"http://127.0.0.1:{plain}/",
            "https://192.0.2.7/": f"https://127.0.0.1:{secure}/",
            "192.0.2.7:8080": f"127.0.0.1:{plain}",
            " 192.0.2.7 ": f" 127.0.0.1 -p {probed} ",
            **SHORTER,
        }

        def problem(line: str) -> str:
            for old, new in here.items():
                line = line.replace(old, new)
            out = tmp_path / f"run{abs(hash(line))}"
            done = loadgen(*shlex.split(line)[1:], "--out", out, cache=tmp_path, cwd=tmp_path)
            # A machine that others use makes runs INVALID; an objective may be missed there.
            return "" if done.code in (0, 1, 3) else f"{line}: exit code {done.code}: {done.err}{done.out}"

        with ThreadPoolExecutor(2) as pool:
            problems = [one for one in pool.map(problem, lines) if one]
    assert problems == []


def test_the_page_names_each_tool() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for tool in ("wrk2", "oha", "hey", "ab", "k6", "vegeta", "iperf3", "netperf"):
        assert re.search(rf"^\| {tool}|[`( ]{tool} ", text, re.MULTILINE), tool


@pytest.mark.parametrize("line", commands())
def test_the_page_shows_no_line_that_its_test_leaves_out(line: str) -> None:
    assert line.startswith(("loadgen http ", "loadgen iperf ", "loadgen show "))
