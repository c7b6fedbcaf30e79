"""Benchmarks that need only this machine still run; their figures are not checked."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.engine_responder import build, percentile_ms, serving
from deploy.servers.base import find_binary
from tests.support.engines import ENGINES

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
FLEET = BENCHMARKS / "fleet.py"
ENGINE = BENCHMARKS / "engine.py"

needs_wrk = pytest.mark.skipif(
    (shutil.which("wrk") is None or shutil.which("cc") is None) and os.environ.get("CI") != "true",
    reason="wrk or a C compiler is not installed (tools/install-debian.sh tests)",
)
two_cores = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="client and server need a core each")


@pytest.mark.needs_nginx
@pytest.mark.skipif(
    find_binary("nginx") is None and os.environ.get("CI") != "true",
    reason="nginx is not installed (tools/install-debian.sh tests)",
)
@pytest.mark.parametrize(("setup", "guilty"), [("slow", "vm01"), ("client", "local/0")])
def test_the_fairness_benchmark_slows_down_what_it_says(setup: str, guilty: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.fairness", setup, "1"],
        cwd=BENCHMARKS.parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stderr == ""
    assert f"'slow': '{guilty}'" in done.stdout
    right = f"{setup}: {1 - done.returncode} of 1 answers are right"
    assert done.stdout.splitlines()[-1] == right
    if setup == "slow" and "'fairness':" in done.stdout:  # or this machine is too busy for a result
        assert f"'named': ['{guilty} 0." in done.stdout


@pytest.fixture(scope="module")
def responder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Yield the server of the engine benchmark, which runs inside the context."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    return build(tmp_path_factory.mktemp("responder"))


def test_the_fleet_benchmark_reports_all_figures(tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    arguments = ["--agents", "3", "--seconds", "1", "--quick", "--json", str(found)]
    done = subprocess.run(
        [sys.executable, str(FLEET), *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    assert done.returncode in (0, 1), "the targets are reached, or this machine is too busy"
    (three,) = json.loads(found.read_text())
    assert three["agents"] == 3
    assert (three["losses"], three["missing"], three["snapshots_missing"], three["problems"]) == (0, 0, 0, [])
    assert three["clocks_true"] is True
    assert three["snapshots"] >= 3 * 2 * 3
    for name in ("cpu_share", "rss_mb", "snapshot_p99_ms", "stop_max_ms", "start_skew_ms", "machine_kb_per_s"):
        assert three[name] > 0
    assert "coordinator CPU" in done.stdout
    assert "nothing lost: " in done.stdout.splitlines()[-1]


@needs_wrk
@two_cores
def test_the_engine_benchmark_reports_all_figures(tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    arguments = ["--quick", "--only", "closed", "--seconds", "1", "--rounds", "1", "--json", str(found)]
    done = subprocess.run(
        [sys.executable, str(ENGINE), *arguments], capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode in (0, 1), done.stderr
    document = json.loads(found.read_text())
    row, ratios = document["closed"]["1024"], document["cpu_per_request_vs_wrk"]
    assert {"wrk", *ENGINES} <= set(row)
    assert set(ratios) == set(row) - {"wrk"}
    for name, one in row.items():
        assert one["requests_per_s"] > 0
        assert one["cpu_us_min"] <= one["cpu_us"] <= one["cpu_us_max"]
        assert name in done.stdout
    for engine in ENGINES:
        of_turns = [mine / wrks for wrks, mine in row[engine]["turns_cpu_us"]]
        assert len(of_turns) >= 5
        assert min(of_turns) <= ratios[engine] <= max(of_turns)
    assert done.returncode == (0 if all(target["reached"] for target in document["targets"]) else 1)


def test_the_responder_answers_by_size_for_any_pieces_of_a_request(responder: Path) -> None:
    with serving(responder, min(os.sched_getaffinity(0)), ports=2) as served:
        for port in served.ports:
            with socket.socket() as client:
                client.settimeout(5)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)  # a large reply is sent in parts
                client.connect(("127.0.0.1", port))
                for size, cuts in ((100, 1), (1_024, 3), (700_000, 2)):
                    request = f"GET /{size} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
                    first = len(request) - cuts
                    for piece in (request[:first], request[first:]):
                        client.sendall(piece)
                        time.sleep(0.02)
                    with client.makefile("rb", buffering=0) as reply:
                        head = b""
                        while not head.endswith(b"\r\n\r\n"):
                            head += reply.read(1) or pytest.fail("it closed the connection")
                        body = b""
                        while len(body) < size:
                            body += reply.read(size - len(body)) or pytest.fail("it closed the connection")
                    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
                    assert f"Content-Length: {size}\r\n".encode() in head
        assert served.requests == 6


def test_the_responder_delays_replies_and_records_the_delay(responder: Path) -> None:
    with (
        serving(responder, min(os.sched_getaffinity(0)), delay_us=20_000) as served,
        socket.create_connection(("127.0.0.1", served.ports[0]), timeout=5) as client,
    ):
        began = time.monotonic()
        for _ in range(3):
            client.sendall(b"GET /10 HTTP/1.1\r\n\r\n")
            assert client.recv(4_096).endswith(b"\r\n\r\n..........")
        while served.requests < 3:  # the responder counts a reply after sending it
            time.sleep(0.01)
        took_ms = (time.monotonic() - began) * 1e3
        truth = served.truth()
    assert truth.sum() == 3
    assert percentile_ms(truth, 1) >= 20
    assert percentile_ms(truth, 100) <= took_ms
