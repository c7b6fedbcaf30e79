"""The peers of the engine benchmark: how to run each on one thread over HTTP/1.1 keep-alive connections."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.engine_meter import MOST_BY_OTHERS, Meter, between
from benchmarks.engine_responder import Responder, percentile_ms

SETTLE_S = 0.4
"""How long after its first request a client has opened all of its connections."""

_HALF_RATE_MOST = 0.95  # share of the core: only on a core that became slower a client uses more at half of its rate
_BEGIN_S = 10.0
_FAR_S = 20  # a client is started for so much longer than it is measured, and then killed
_LAST_S = 0.2  # a client whose own report is needed is measured until so long before its end
_CALLS = 1_000_000  # requests per connection, for a client that cannot be limited by time
_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


@dataclass(frozen=True, slots=True)
class Peer:
    """`argv` has the placeholders {host}, {port}, {path}, {url}, {connections}, {seconds}, {calls} and {file}.

    {seconds} and {calls} limit the run; `package` is the Debian package.
    """

    name: str
    argv: tuple[str, ...]
    package: str


# ab always uses HTTP/1.0 with keep-alive.  It allocates memory in advance for each request of -n.
PEERS = (
    Peer("wrk", ("wrk", "-t1", "-c{connections}", "-d{seconds}s", "--latency", "{url}"), "wrk"),
    Peer(
        "ab",
        ("ab", "-q", "-k", "-t{seconds}", "-n10000000", "-c{connections}", "-e", "{file}", "{url}"),
        "apache2-utils",
    ),
    Peer(
        "httperf",
        ("httperf", "--hog", "--server={host}", "--port={port}", "--uri={path}", "--num-conns={connections}",
         "--num-calls={calls}", "--rate=10000", "--timeout=5"),
        "httperf",
    ),
    Peer("h2load", ("h2load", "--h1", "-t1", "-c{connections}", "-D{seconds}", "{url}"), "nghttp2-client"),
    Peer("hey", ("hey", "-cpus", "1", "-c", "{connections}", "-z", "{seconds}s", "{url}"), "hey"),
)  # fmt: skip


def present() -> list[Peer]:
    """The peers that are installed; prints the missing ones to stderr."""
    found = [peer for peer in PEERS if shutil.which(peer.argv[0])]
    for peer in PEERS:
        if peer not in found:
            print(f"not installed, left out: {peer.name} (Debian package: {peer.package})", file=sys.stderr)
    return found


@contextlib.contextmanager
def playing(
    peer: Peer, responder: Responder, size_bytes: int, connections: int, core: int, seconds: float
) -> Iterator[int]:
    """Run `peer` in a closed loop for at least `seconds`; yields its pid when all of its connections are open."""
    url, answered = responder.url(size_bytes), responder.requests
    with _running(peer, url, connections, core, seconds=round(seconds) + _FAR_S, file=Path("/dev/null")) as process:
        deadline = time.monotonic() + _BEGIN_S
        while responder.requests == answered and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(SETTLE_S)
        yield process.pid
        if process.poll() is not None:
            raise SystemExit(f"{peer.name} ended before its measurement did (exit code {process.returncode})")


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyError:
    """Reported percentiles minus true ones, in ms, at `requests_per_s`.

    `client_share` and `others` are the shares of the client's core that the client and other processes used.
    """

    requests_per_s: float
    client_share: float
    others: float
    true_p50_ms: float
    true_p99_ms: float
    p50_ms: float
    p99_ms: float

    def doubt(self, delay_ms: float) -> str:
        """Why the figures may not describe the client; "" if they do."""
        if self.others > MOST_BY_OTHERS:
            return "others used the client's core"
        if self.client_share > _HALF_RATE_MOST:
            return "the core was slower than when the client's greatest rate was measured"
        # A server that is preempted between a send and reading its clock records a true latency that is too long.
        return "the server did not keep its time" if self.true_p99_ms > 1.2 * delay_ms else ""


def latency_error(
    peer: Peer, responder: Responder, size_bytes: int, connections: int, core: int, seconds: int, directory: Path
) -> LatencyError:
    """The latency that wrk or ab reports for a whole run, minus the true latency of the same requests."""
    file = directory / f"{peer.name}.csv"
    before = responder.truth()
    with _running(peer, responder.url(size_bytes), connections, core, seconds=seconds, file=file) as process:
        meter = Meter(process.pid, core, responder)
        began = meter.mark()
        time.sleep(seconds - _LAST_S)
        window = between(began, meter.mark())
        report, _ = process.communicate(timeout=seconds + 20)
    truth = responder.truth() - before
    told = _ab_percentiles(file.read_text()) if peer.name == "ab" else _wrk_percentiles(report)
    true = [percentile_ms(truth, q) for q in (50, 99)]
    return LatencyError(
        requests_per_s=window.requests_per_s,
        client_share=window.client_share,
        others=window.others,
        true_p50_ms=true[0],
        true_p99_ms=true[1],
        p50_ms=told[0] - true[0],
        p99_ms=told[1] - true[1],
    )


def _wrk_percentiles(report: str) -> tuple[float, float]:
    found = {int(q): float(value) * _MS[unit] for q, value, unit in re.findall(r"(\d+)%\s+([\d.]+)(us|ms|s)\n", report)}
    return found[50], found[99]


def _ab_percentiles(table: str) -> tuple[float, float]:
    rows = [line.split(",") for line in table.splitlines()[1:]]
    found = {int(q): float(ms) for q, ms in rows}
    return found[50], found[99]


@contextlib.contextmanager
def _running(
    peer: Peer, url: str, connections: int, core: int, *, seconds: int, file: Path
) -> Iterator[subprocess.Popen[str]]:
    host, _, rest = url.removeprefix("http://").partition(":")
    port, _, path = rest.partition("/")
    known = {
        "url": url,
        "host": host,
        "port": port,
        "path": f"/{path}",
        "connections": connections,
        "seconds": seconds,
        "calls": _CALLS,
        "file": file,
    }
    process = subprocess.Popen(
        # The peer may be stopped (SIGSTOP) when this process is killed, and would then never end.
        ["setpriv", "--pdeathsig", "KILL", *(part.format(**known) for part in peer.argv)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
