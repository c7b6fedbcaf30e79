"""`loadgen http` against a real nginx: HTTP, HTTPS, IPv6; its counts equal those of nginx."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

from loadgen.engine.choice import available
from loadgen.measure.histogram import TOP_NS
from tests.support.cli import loadgen, start
from tests.support.disturbed import disturbed, ending
from tests.support.tls_files import TlsFiles, make_tls_files
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
    log_format counted '$remote_addr $scheme $request_method $uri $status $http_x_test';
    access_log {home}/access.log counted;
    keepalive_requests 1000000;
    client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;
    ssl_certificate {tls.certificate}; ssl_certificate_key {tls.key};
    server {{
        listen 127.0.0.1:{plain}; listen [::1]:{plain}; listen 127.0.0.1:{secure} ssl;
        location / {{ return 200 "{body}"; }}
        location /made {{ return 201 "made"; }}
        location /gone {{ return 404 "gone"; }}
        location /status {{ stub_status; access_log off; }}
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Nginx:
    """A running nginx, and its log."""

    home: Path
    plain: int
    secure: int
    tls: TlsFiles

    def lines(self) -> list[str]:
        return (self.home / "access.log").read_text().splitlines()

    def forget(self) -> None:
        os.truncate(self.home / "access.log", 0)

    def counted(self) -> int:
        """Return the number of requests that nginx has served, including this request."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.plain}/status", timeout=5) as reply:
            text: str = reply.read().decode()
        return int(text.splitlines()[2].split()[2])

    def logged(self, count: int) -> bool:
        """Whether nginx finally logs exactly this many requests; its log may be slightly late."""
        return within(10, lambda: len(self.lines()) >= count) and len(self.lines()) == count


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [sock.getsockname()[1] for sock in sockets]


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    assert NGINX is not None
    home = tmp_path_factory.mktemp("nginx")
    tls = make_tls_files(home)
    plain, secure = _free_ports(2)
    config = home / "nginx.conf"
    config.write_text(_CONFIG.format(home=home, tls=tls, plain=plain, secure=secure, body="x" * 1000))
    process = subprocess.Popen([NGINX, "-c", config, "-p", home], stderr=subprocess.DEVNULL)
    try:
        assert within(30, lambda: _answers(plain))
        yield Nginx(home, plain, secure, tls)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def test_a_closed_loop_counts_what_nginx_counts(nginx: Nginx, tmp_path: Path) -> None:
    nginx.forget()
    files = ("--hdr", "a.hgrm", "--hdr", "a.hlog")
    done = loadgen(
        *("http", f"http://127.0.0.1:{nginx.plain}/", f"http://[::1]:{nginx.plain}/six", "-c", "6", "-d", "1s"),
        *("--warmup", "500ms", "-H", "X-Test: yes", "--json", "--out", "run", *files),
        cache=tmp_path,
        cwd=tmp_path,
    )
    assert done.code in (0, 3), done.err  # on a busy machine the client may be the limit, and reports it
    found = done.document
    assert nginx.logged(found["sent"])
    seen = Counter(line.split()[0] for line in nginx.lines())
    assert set(seen) == {"127.0.0.1", "::1"}
    assert {line.split()[-1] for line in nginx.lines()} == {"yes"}
    assert {one["engine"] for one in found["fleet"]["engines"]} == {available()[0].value}
    assert [row["errors"] for row in found["targets"]] == [0, 0]
    assert found["total"]["ok"] == sum(row["ok"] for row in found["targets"]) > 100
    due = found["total"]["due"]
    assert due == found["total"]["ok"] + found["total"]["cut"]
    assert f"Total count    = {due:12d}" in (tmp_path / "a.hgrm").read_text()
    whole = HdrHistogram(1, TOP_NS, 3)
    reader = HistogramLogReader(str(tmp_path / "a.hlog"), whole)
    while (part := reader.get_next_interval_histogram()) is not None:
        whole.add(part)
    reader.close()
    assert whole.get_total_count() == due
    # the two libraries count the rank of a percentile differently, by one request
    below_ms, above_ms = (whole.get_value_at_percentile(99 + step * 100 / due) / 1e6 for step in (-1, 1))
    assert below_ms * 0.999 <= found["total"]["response_ms"]["p99"]["low"] <= above_ms * 1.001


@pytest.mark.parametrize("where", ["http://127.0.0.1:{plain}", "https://127.0.0.1:{secure}", "http://[::1]:{plain}"])
@pytest.mark.parametrize("close", [False, True], ids=["keep-alive", "close"])
def test_nginx_counts_exactly_the_sent_requests(nginx: Nginx, tmp_path: Path, where: str, *, close: bool) -> None:
    """The numbers are exact, although connections open, shake hands and wait for replies when the run ends."""
    nginx.forget()
    before = nginx.counted()
    url = where.format(plain=nginx.plain, secure=nginx.secure)
    extra = ("-H", "Connection: close") if close else ()
    done = loadgen(
        *("http", f"{url}/", "-c", "32", "-d", "1s", "--insecure", "--json", "--out", "run", *extra),
        cache=tmp_path,
        cwd=tmp_path,
    )
    assert done.code in (0, 3), done.err
    found = done.document
    assert nginx.logged(found["sent"])
    assert nginx.counted() - before - 1 == found["sent"] > 100
    assert found["total"]["errors"] == 0


def test_an_open_loop_with_tls_sends_exactly_the_due_requests(nginx: Nginx, tmp_path: Path) -> None:
    nginx.forget()
    (tmp_path / "shop.toml").write_text(
        f"""
        [[request]]
        url = "https://127.0.0.1:{nginx.secure}/"
        weight = 3
        [[request]]
        method = "POST"
        url = "https://127.0.0.1:{nginx.secure}/made"
        headers = {{ X-Test = "made" }}
        body = "{{}}"
        status = 201
        """
    )
    trusting = {**os.environ, "SSL_CERT_FILE": str(nginx.tls.authority)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "environ", trusting)
        done = loadgen(
            *("http", "--requests", "shop.toml", "--rate", "400/s", "-c", "16", "-d", "1s", "--json", "--out", "run"),
            *("--engines", "2", "--slo", "rate>=395/s", "--slo", "errors<0.1%", "--slo", "shed<0.1%"),
            cache=tmp_path,
            cwd=tmp_path,
        )
    found = done.document
    total = found["total"]
    assert total["ok"] + total["errors"] + total["cut"] == 400
    assert total["errors"] == 0
    assert nginx.logged(found["sent"])
    by_uri = Counter(line.split()[3] for line in nginx.lines())
    assert by_uri["/"] == pytest.approx(3 * by_uri["/made"], abs=4)
    assert {line.split()[1] for line in nginx.lines()} == {"https"}
    engines = [(one["worker"], one["engine"], one["timestamps"], one["why"]) for one in found["fleet"]["engines"]]
    assert engines == [(f"local/{n}", "python", "loop", "only the Python engine supports TLS") for n in range(2)]
    judged = [] if disturbed(found) else ["rate", "errors", "shed"]
    assert [check["name"] for check in found["slos"]] == judged


def test_certificates_are_verified_by_default(nginx: Nginx, tmp_path: Path) -> None:
    url = f"https://127.0.0.1:{nginx.secure}/"
    refused = loadgen("http", url, "-d", "1s", cache=tmp_path, cwd=tmp_path)
    assert refused.code == 1
    assert "certificate" in refused.err
    assert "--insecure" in refused.err
    assert "Traceback" not in refused.err
    taken = loadgen("http", url, "-d", "1s", "--rate", "50", "-c", "2", "--insecure", cache=tmp_path, cwd=tmp_path)
    assert taken.code in (0, 3)
    assert " 50 " in taken.out


def test_a_missed_objective_has_exit_code_1(nginx: Nginx, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{nginx.plain}"
    done = loadgen(
        *(
            "http",
            f"{url}/",
            f"{url}/gone",
            "--rate",
            "100/s",
            "-d",
            "1s",
            "--warmup",
            "500ms",
            "--slo",
            "errors<1%",
            "--out",
            "run",
        ),
        cache=tmp_path,
        cwd=tmp_path,
    )
    document = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (done.code, document["verdict"]) == ending(document, 1, "not conforming"), done.out
    assert "bad status" in done.out
    assert disturbed(document) or "FAIL  errors" in done.out
    again = loadgen("show", "run", cache=tmp_path, cwd=tmp_path)
    assert again.code == 0
    assert again.out.splitlines()[-8:] == done.out.splitlines()[-8:]


def test_source_addresses_and_a_missing_target(nginx: Nginx, tmp_path: Path) -> None:
    nginx.forget()
    (dead,) = _free_ports(1)
    done = loadgen(
        *("http", f"http://127.0.0.1:{nginx.plain}/", f"http://127.0.0.1:{dead}/", "-c", "8", "-d", "1s"),
        *("--source", "127.0.0.2,127.0.0.3", "--json", "--out", "run"),
        cache=tmp_path,
        cwd=tmp_path,
    )
    found = done.document
    assert nginx.logged(found["sent"])  # and no requests of the refused run
    assert {line.split()[0] for line in nginx.lines()} == {"127.0.0.2", "127.0.0.3"}
    assert set(found["targets"][1]["errors_by_outcome"]) == {"REFUSED"}
    assert any("connection refused" in note for note in found["notes"])
    nobody = loadgen("http", f"http://127.0.0.1:{dead}/", cache=tmp_path, cwd=tmp_path)
    assert (nobody.code, len(nobody.err.splitlines())) == (1, 1)
    assert not any((tmp_path / "runs").glob("*"))  # a run that could not be begun leaves no record


def test_a_killed_run_leaves_a_record_and_nothing_else(nginx: Nginx, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{nginx.plain}/"
    process = start("http", url, "-d", "60s", "-c", "4", "--rate", "100", "--out", "run", cache=tmp_path, cwd=tmp_path)
    assert within(60, lambda: (tmp_path / "run/intervals.msgpack").exists())
    process.kill()
    process.communicate(timeout=30)
    document = json.loads((tmp_path / "run/run.json").read_text())
    assert document["verdict"] == "unfinished"
    assert {one["engine"] for one in document["fleet"]["engines"]} == {available()[0].value}
    shown = loadgen("show", "run", cache=tmp_path, cwd=tmp_path)
    assert shown.code == 0
    assert "CUT" in shown.out
    assert "40.0" in shown.out or "requests/s of 100 requested" in shown.out
    time.sleep(0.2)
    before = len(nginx.lines())
    assert within(4, lambda: _quiet(nginx))
    assert before <= len(nginx.lines())


def _quiet(nginx: Nginx) -> bool:
    count = len(nginx.lines())
    time.sleep(0.3)
    return len(nginx.lines()) == count


def test_an_interrupt_ends_the_run_and_shows_its_measurements(nginx: Nginx, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{nginx.plain}/"
    process = start("http", url, "-d", "60s", "-c", "4", "--rate", "100", "--out", "run", cache=tmp_path, cwd=tmp_path)
    assert within(60, lambda: (tmp_path / "run/intervals.msgpack").exists())
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "INTERRUPTED" in out
    assert "Traceback" not in err


@pytest.mark.parametrize("engine", [kind.value for kind in available()])
def test_plain_http_to_a_port_for_tls_is_told_with_the_status_and_a_hint(
    nginx: Nginx, tmp_path: Path, engine: str
) -> None:
    done = loadgen(
        *("http", f"http://127.0.0.1:{nginx.secure}/", "-c", "2", "-d", "1s", "--engine", engine, "--json"),
        cache=tmp_path,
        cwd=tmp_path,
    )
    found = done.document
    assert set(found["total"]["statuses"]) == {"400"}
    assert found["total"]["statuses"]["400"] == found["total"]["errors"] > 0
    (note,) = [note for note in found["notes"] if "use https://" in note]
    assert "sent to HTTPS port" in note
    assert any("bad status (400)" in reason for reason in found["reasons"])


def test_https_to_a_plain_port_is_told_with_a_hint(nginx: Nginx, tmp_path: Path) -> None:
    done = loadgen("http", f"https://127.0.0.1:{nginx.plain}/", "-c", "2", "-d", "1s", cache=tmp_path, cwd=tmp_path)
    assert done.code == 1
    assert "does not speak TLS on this port" in done.err
    assert "use http://" in done.err


def test_statuses_are_counted_as_nginx_logs_them(nginx: Nginx, tmp_path: Path) -> None:
    nginx.forget()
    urls = [f"http://127.0.0.1:{nginx.plain}{path}" for path in ("/", "/made", "/gone")]
    done = loadgen("http", *urls, "-c", "3", "-d", "1s", "--json", cache=tmp_path, cwd=tmp_path)
    found = done.document
    assert nginx.logged(found["sent"])
    logged = Counter(line.split()[-2] for line in nginx.lines())
    counted = found["total"]["statuses"]
    assert set(counted) == {"200", "201", "404"}
    assert all(0 <= logged[code] - counted[code] <= 3 for code in counted)  # the last ones may be cut


def test_a_trust_store_that_names_nothing_is_refused(
    nginx: Nginx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    done = loadgen("http", f"https://localhost:{nginx.secure}/", "-c", "2", "-d", "1s", cache=tmp_path, cwd=tmp_path)
    assert done.code == 2
    assert "none.pem: no such file" in done.err
