"""Real losses between a client and a server in namespaces of their own: the client's kernel counts the same."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.trust_places import drop
from coordinator.record.frames import frames
from deploy.lab.network import Lab
from deploy.lab.topology import SINK_HOST, Place
from loadgen.host.counters import parse_snmp
from loadgen.measure.ledger import Totals
from loadgen.measure.snapshot import Snapshot
from loadgen.model.probe import Link
from tests.support.cli import LOADGEN
from tests.support.lab import needs_lab, said, start

pytestmark = needs_lab

CONNECTIONS = 8

SERVER = """
import http.server, socketserver
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    count = 0
    def do_GET(self):
        Handler.count += 1
        body = b"x" * 20_000
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        if Handler.count % 50 == 0:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 64
server = Server(("", 8080), Handler)
print("ready", flush=True)
server.serve_forever()
"""


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab(Link.NONE) as made:
        server = start(made, Place.SINK, sys.executable, "-c", SERVER)
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n"
            yield made
        finally:
            server.kill()
            server.communicate()


def resent(lab: Lab, place: Place) -> int:
    return parse_snmp(said(lab, place, "cat", "/proc/net/snmp"))["Tcp"]["RetransSegs"]


def play(lab: Lab, record: Path, engine: str) -> tuple[dict[str, Any], Totals]:
    """Return run.json, and the sum of everything that the engines reported."""
    words = (f"http://{SINK_HOST}:8080/", "-c", str(CONNECTIONS), "--duration", "2s", "--engine", engine)
    with start(lab, Place.SOURCE, str(LOADGEN), "http", *words, "--out", str(record)) as process:
        _, errors = process.communicate(timeout=60)
    assert (record / "run.json").exists(), errors  # on a busy machine the run is INVALID, and counts as well
    newest: dict[tuple[str, int], Snapshot] = {(one.worker, one.interval): one for one in frames(record)}
    return json.loads((record / "run.json").read_text()), Totals.of(*newest.values())


@pytest.mark.parametrize("engine", ["compiled", "python"])
def test_the_clients_retransmits_are_those_of_its_namespace(lab: Lab, tmp_path: Path, engine: str) -> None:
    """The namespace counts also what is sent again after a connection was closed: its FIN, and nothing else here."""
    drop(lab, 0.02)
    before = resent(lab, Place.SOURCE)
    document, totals = play(lab, tmp_path / "run", engine)
    retransmits = int(totals.tcp.paths["retransmits"].sum())
    connects = sum(cell.connects for cell in totals.cells.values())
    assert 0 < retransmits <= resent(lab, Place.SOURCE) - before <= retransmits + 4 * connects
    assert int(totals.tcp.slots["retransmits"].sum()) == retransmits
    assert resent(lab, Place.SINK) > 0  # replies were lost, too, which the client sees by their order
    assert int(totals.tcp.paths["out_of_order"].sum()) > 0
    row = document["total"]["tcp"]
    assert 0 < row["lossy"] <= CONNECTIONS == row["connections"]
    assert 0 < row["rtt_min_ms"] <= row["rtt_p50_ms"] <= row["rtt_p99_ms"]


@pytest.mark.parametrize("engine", ["compiled", "python"])
def test_without_losses_there_are_no_retransmits(lab: Lab, tmp_path: Path, engine: str) -> None:
    before = resent(lab, Place.SOURCE)
    _, totals = play(lab, tmp_path / "run", engine)
    assert int(totals.tcp.paths["retransmits"].sum()) <= resent(lab, Place.SOURCE) - before
    assert int(totals.tcp.paths["looks"].sum()) >= CONNECTIONS
