"""Options of `loadgen http` as a user gives them, against a local server that counts what it receives."""

from __future__ import annotations

import http.server
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli import loadgen


class Counting(http.server.ThreadingHTTPServer):
    """A web server on 127.0.0.1 that counts requests by method, path and Host."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: Counter[tuple[str, str, str]] = Counter()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        assert isinstance(self.server, Counting)
        self.server.seen[self.command, self.path, self.headers["Host"]] += 1
        status = int(self.path.strip("/") or 200)
        self.send_response(status)
        self.send_header("Content-Length", "5")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(b"hello")

    do_GET = do_HEAD = do_POST = do_DELETE = _answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        return None


@pytest.fixture(scope="module")
def server() -> Iterator[Counting]:
    with Counting() as one:
        thread = threading.Thread(target=one.serve_forever, daemon=True)
        thread.start()
        yield one
        one.shutdown()
        thread.join()


def test_an_exact_number_over_engines_and_connections(server: Counting, tmp_path: Path) -> None:
    server.seen.clear()
    options = (
        "-n",
        "501",
        "-c",
        "7",
        "--engines",
        "2",
        "-X",
        "delete",
        "-H",
        "Host: shop.example",
        "--expect",
        "2xx,404",
    )
    done = loadgen("http", f"{server.url}/404", *options, "--json", cache=tmp_path, cwd=tmp_path)
    assert done.code in (0, 3), done.err
    document = done.document
    assert server.seen == {("DELETE", "/404", "shop.example"): 501}
    assert (document["total"]["ok"], document["total"]["due"], document["sent"]) == (501, 501, 501)
    assert 0 < document["measured_s"] < 60
    assert document["plan"]["total_requests"] == 501


def test_a_plan_with_these_options_reads_back(server: Counting, tmp_path: Path) -> None:
    server.seen.clear()
    options = ("-n", "60", "-c", "6", "-m", "HEAD", "--expect", "200-299", "--no-keepalive", "--rate", "300/s")
    printed = loadgen("http", server.url, *options, "--print-plan", cache=tmp_path, cwd=tmp_path)
    assert printed.code == 0, printed.err
    (tmp_path / "plan.toml").write_text(printed.out, encoding="utf-8")
    again = loadgen("http", "--plan", "plan.toml", "--print-plan", cache=tmp_path, cwd=tmp_path)
    assert again.out == printed.out
    done = loadgen("http", "--plan", "plan.toml", "--json", cache=tmp_path, cwd=tmp_path)
    assert done.code in (0, 3), done.err
    assert sum(count for (method, _, _), count in server.seen.items() if method == "HEAD") == 60
    assert done.document["total"]["ok"] == 60


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("-n", "0"), "-n"),
        (("-n", "5", "-c", "6"), "5 requests (-n) cannot be shared by 6 connections"),
        (("-n", "500", "--warmup", "1s"), "--warmup"),
        (("--expect", "9xx"), "9xx"),
        (("-X", "HEAD", "--body", "x"), "HEAD"),
        (("--no-keepalive", "-H", "Connection: keep-alive"), "contradicts"),
    ],
)
def test_senseless_options_are_refused_in_one_line(tmp_path: Path, options: tuple[str, ...], word: str) -> None:
    done = loadgen("http", "http://127.0.0.1:1/", *options, cache=tmp_path, cwd=tmp_path)
    assert done.code == 2
    assert word in done.err
    assert "Traceback" not in done.err
