"""`loadgen http --http2` against a real nginx, which ends each connection after some requests by a GOAWAY."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.cli import loadgen
from tests.support.tls_files import make_tls_files
from tests.support.vms import within

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

pytestmark = [
    pytest.mark.needs_nginx,
    pytest.mark.skipif(NGINX is None and os.environ.get("CI") != "true", reason="nginx is not installed"),
]

_CONFIG = """
daemon off; master_process off; worker_processes 1; pid {home}/nginx.pid; error_log {home}/error.log;
events {{ worker_connections 512; }}
http {{
    log_format counted '$server_protocol $request_method $status';
    access_log {home}/access.log counted;
    keepalive_requests 100; http2_max_concurrent_streams 4;
    client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;
    ssl_certificate {tls.certificate}; ssl_certificate_key {tls.key};
    server {{
        listen 127.0.0.1:{plain} http2; listen 127.0.0.1:{secure} ssl http2;
        location / {{ return 200 "{body}"; }}
    }}
    server {{ listen 127.0.0.1:{old}; location / {{ return 200 "old"; }} }}
}}
"""


@dataclass(frozen=True, slots=True)
class Nginx:
    """A running nginx, and its log; the port `old` is without HTTP/2."""

    home: Path
    plain: int
    secure: int
    old: int

    def lines(self) -> list[str]:
        return (self.home / "access.log").read_text().splitlines()


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    assert NGINX is not None
    home = tmp_path_factory.mktemp("nginx")
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        plain, secure, old = (sock.getsockname()[1] for sock in sockets)
    config = home / "nginx.conf"
    ports = {"plain": plain, "secure": secure, "old": old}
    config.write_text(_CONFIG.format(home=home, tls=make_tls_files(home), body="x" * 1000, **ports))
    process = subprocess.Popen([NGINX, "-c", config, "-p", home], stderr=subprocess.DEVNULL)
    try:
        assert within(30, lambda: _answers(plain))
        yield Nginx(home, plain, secure, old)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_request_is_lost_by_the_goaways_of_nginx(nginx: Nginx, tmp_path: Path, scheme: str) -> None:
    os.truncate(nginx.home / "access.log", 0)
    port = nginx.plain if scheme == "http" else nginx.secure
    done = loadgen(
        *("http", "--http2", f"{scheme}://127.0.0.1:{port}/", "--insecure", "-c", "2", "--streams", "6", "-d", "1s"),
        *("--method", "POST", "--body", "y" * 100_000, "--json", "--out", "run"),
        cache=tmp_path,
        cwd=tmp_path,
    )
    assert done.code in (0, 3), done.err  # on a busy machine the client may be the limit, and reports it
    found = done.document
    assert found["total"]["errors"] == 0
    assert found["total"]["ok"] > 100
    assert found["total"]["connections"] == 12
    assert within(10, lambda: found["total"]["ok"] <= len(nginx.lines()) <= found["sent"])
    assert {line.rsplit(" ", 1)[0] for line in nginx.lines()} == {"HTTP/2.0 POST"}
    (engine,) = found["fleet"]["engines"]
    assert engine["engine"] == "python"
    assert engine["why"] == "only the Python engine speaks HTTP/2"
    assert (found["plan"]["http2"], found["plan"]["streams"]) == (True, 6)
    notes = "\n".join(found["notes"])
    assert "the server allows 4 streams per connection, fewer than asked" in notes
    assert "GOAWAY with NO_ERROR (a graceful end)" in notes


def test_the_report_names_the_streams(nginx: Nginx, tmp_path: Path) -> None:
    done = loadgen(
        *("http", "--http2", f"http://127.0.0.1:{nginx.plain}/", "-c", "2", "--streams", "3", "-d", "1s"),
        *("--rate", "50/s", "--out", "run"),
        cache=tmp_path,
        cwd=tmp_path,
    )
    assert done.code in (0, 3), done.err
    assert "2 connections x 3 streams (HTTP/2)" in done.out
    assert "only the Python engine speaks HTTP/2" in " ".join(done.out.split())


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("{old}", "--http2"), 1, "it answers with HTTP/1.1 when HTTP/2 is spoken to it"),
        (("{plain}", "--http2", "--engine", "compiled"), 2, "only the Python engine speaks HTTP/2"),
        (("{plain}", "--streams", "5"), 2, "only HTTP/2 has several streams per connection"),
    ],
)
def test_what_cannot_be_is_one_line_with_a_hint(
    nginx: Nginx, tmp_path: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    port, *options = (text.format(old=nginx.old, plain=nginx.plain) for text in arguments)
    done = loadgen("http", f"http://127.0.0.1:{port}/", "-d", "1s", *options, cache=tmp_path, cwd=tmp_path)
    assert done.code == code
    lines = done.err.splitlines()
    assert said in lines[-2]
    assert lines[-1].startswith("hint: ")


def test_spec_refuses_http2(tmp_path: Path) -> None:
    done = loadgen("spec", "--http2", cache=tmp_path, cwd=tmp_path)
    assert done.code == 2
    assert "http2" in done.err
