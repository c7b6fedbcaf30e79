"""Compares `loadgen http` with wrk when the server is the bottleneck: HTTP, HTTPS and IPv6, in alternating runs.

Both clients must measure the same rate.  nginx is alone on the last core and compresses each reply at its highest
level, which is expensive; the client runs on the first core.  Both clients use the same number of connections and one
thread.  The scheduler statistics of nginx prove that nginx was the limit: the time that it ran or, on a busy machine,
waited for its core.  On a busy machine, other processes take a varying share of that core, so requests are compared per
second of nginx's run time; on a quiet machine this is the rate.

    python benchmarks/http_peers.py [--connections 64] [--seconds 2] [--repeats 9] [--json FILE]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

BODY_BYTES = 20_000
LIMIT = 0.05
BUSY = 0.95
_TICK_S = 0.05
_MARGIN_S = 0.1
_IDLE_S = 0.3
_HEADER = "Accept-Encoding: gzip"
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"

_CONFIG = """
daemon off; master_process off; pid {home}/nginx.pid; error_log {home}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off; keepalive_requests 1000000000;
    client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;
    gzip on; gzip_comp_level 9; gzip_types text/plain; default_type text/plain;
    ssl_certificate {home}/certificate.pem; ssl_certificate_key {home}/key.pem;
    server {{
        listen 127.0.0.1:{plain}{http2}; listen [::1]:{plain}{http2}; listen 127.0.0.1:{secure} ssl{http2};
        root {home};
        location /short {{ return 200 "{short}"; }}
    }}
}}
"""


@dataclass(frozen=True)
class Sample:
    """The result of one run: requests per second, and requests per second of nginx's run time.

    `ran` is nginx's share of its core in the busiest stretch; `wanted` is the share that it ran or waited for its core.
    """

    per_s: float
    per_cpu_s: float
    ran: float
    wanted: float


class Meter:
    """Reads a process's scheduler statistics until it is stopped."""

    def __init__(self, pid: int) -> None:
        self._file = Path(f"/proc/{pid}/schedstat")
        self._seen: list[tuple[float, int, int]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while not self._over.wait(_TICK_S):
            ran_ns, waited_ns, _ = map(int, self._file.read_text().split())
            self._seen.append((time.monotonic(), ran_ns, waited_ns))

    def busiest(self, seconds: float) -> tuple[float, float]:
        """Return two shares of the busiest stretch of `seconds`: the time that the process ran, and that it ran or
        waited for a core.
        """
        self._over.set()
        self._thread.join()
        best = (0.0, 0.0)
        last = 0
        for began_s, ran_ns, waited_ns in self._seen:
            while last < len(self._seen) and self._seen[last][0] - began_s < seconds:
                last += 1
            if last == len(self._seen):
                break
            ended_s, ran_then_ns, waited_then_ns = self._seen[last]
            wall_ns = (ended_s - began_s) * 1e9
            ran = (ran_then_ns - ran_ns) / wall_ns
            best = max(best, (ran, ran + (waited_then_ns - waited_ns) / wall_ns), key=lambda one: one[1])
        return best


def wrk(url: str, connections: int, seconds: float, core: int) -> float:
    """Run wrk and return its requests per second."""
    done = _pinned(core, "wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "10s", "-H", _HEADER, url)
    found = re.search(r"Requests/sec:\s*([\d.]+)", done)
    if found is None or "Non-2xx" in done or "Socket errors" in done:
        raise SystemExit(f"wrk reported errors:\n{done}")
    return float(found[1])


def loadgen(url: str, connections: int, seconds: float, core: int) -> float:
    """Run `loadgen http` and return its requests per second."""
    own = (sys.executable, "-c", "from coordinator.cli import main; raise SystemExit(main())")
    with tempfile.TemporaryDirectory(prefix="loadgen-bench-") as scratch:
        done = _pinned(
            core,
            *(*own, "http", url, "-c", str(connections), "-d", f"{seconds:g}s", "-H", _HEADER, "--insecure"),
            *("--engines", "1", "--json", "--out", f"{scratch}/run"),
        )
    total = json.loads(done)["total"]
    if total["errors"]:
        raise SystemExit(f"loadgen http reported errors: {total}")
    return float(total["per_s"])


def _pinned(core: int, *argv: str) -> str:
    done = subprocess.run(
        ["taskset", "-c", str(core), *argv],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[1],
    )
    if done.returncode not in (0, 3):  # 3: on a busy machine, the generator's own checks may fail
        raise SystemExit(f"{argv[0]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


@contextlib.contextmanager
def nginx(home: Path, core: int, *, http2: bool = False) -> Iterator[tuple[int, dict[str, str]]]:
    """Start nginx, with HTTP/1.1 or with HTTP/2; yields its pid, and its URLs by name."""
    binary = shutil.which("nginx", path=_PATH)
    assert binary is not None
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-subj", "/CN=localhost", "-keyout", str(home / "key.pem"), "-out", str(home / "certificate.pem")),
        ],
        check=True,
        capture_output=True,
    )
    words = " ".join(f"{number * 7919 % 100_003} words of text" for number in range(BODY_BYTES))
    (home / "text").write_text(words[:BODY_BYTES])
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        plain, secure = (one.getsockname()[1] for one in sockets)
    ports = {"plain": plain, "secure": secure, "http2": " http2" * http2}
    (home / "nginx.conf").write_text(_CONFIG.format(home=home, short="x" * 1_000, **ports))
    process = subprocess.Popen(["taskset", "-c", str(core), binary, "-c", home / "nginx.conf", "-p", home])
    try:
        _wait_for(plain)
        yield (
            process.pid,
            {
                "HTTP": f"http://127.0.0.1:{plain}/text",
                "HTTPS": f"https://127.0.0.1:{secure}/text",
                "IPv6": f"http://[::1]:{plain}/text",
            },
        )
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(port: int) -> None:
    for _ in range(100):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise SystemExit("nginx did not start")


def compare(pid: int, url: str, connections: int, seconds: float, repeats: int, core: int) -> dict[str, list[Sample]]:
    """Return samples of both clients in alternating runs.

    The order is reversed every round, because the machine's speed drifts.
    """
    samples: dict[str, list[Sample]] = {"wrk": [], "loadgen": []}
    clients = [("wrk", wrk), ("loadgen", loadgen)]
    for number in range(repeats):
        for name, client in clients[:: -1 if number % 2 else 1]:
            meter = Meter(pid)
            try:
                per_s = client(url, connections, seconds, core)
            finally:
                ran, wanted = meter.busiest(seconds - _MARGIN_S)
            samples[name].append(Sample(per_s, per_s / ran, ran, wanted))
            _rest(pid)
    return samples


def _rest(pid: int) -> None:
    """Wait until nginx has finished the requests of the last client, so that they do not count for the next client."""
    used = ""
    while used != (now := Path(f"/proc/{pid}/schedstat").read_text()):
        used = now
        time.sleep(_IDLE_S)


def row(name: str, samples: dict[str, list[Sample]]) -> tuple[str, bool]:
    """Return a line of the table, and whether the ratio is good."""

    def of(what: str) -> tuple[float, float, float]:
        """Return the medians of both clients, and the median of the ratios of the rounds."""
        theirs, ours = ([getattr(one, what) for one in samples[who]] for who in ("wrk", "loadgen"))
        return median(theirs), median(ours), median(b / a for a, b in zip(theirs, ours, strict=True))

    rates, per_cpu, ran, wanted = of("per_s"), of("per_cpu_s"), of("ran")[:2], of("wanted")[:2]
    saturated = min(wanted) >= BUSY
    good = saturated and abs(per_cpu[2] - 1) <= LIMIT
    text = f"{name:6}"
    for theirs, ours, ratio in (rates, per_cpu):
        text += f" {theirs:8,.0f} {ours:8,.0f} {ratio:6.3f} "
    text += "".join(f"  {100 * one:5.1f} {100 * other:5.1f}" for one, other in zip(ran, wanted, strict=True))
    return text + ("" if good else "  NOT GOOD" if saturated else "  nginx was not the limit"), good


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark.  Exit code 0 when every ratio is within 5 % and nginx was the limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", type=Path, help="File to write all samples to.")
    given = parser.parse_args(arguments)
    cores = sorted(os.sched_getaffinity(0))
    lacking = [name for name in ("nginx", "wrk", "openssl", "taskset") if not shutil.which(name, path=_PATH)]
    if len(cores) < 2:
        sys.exit("this benchmark needs two cores: one for the client, one for the server")
    if lacking:
        sys.exit(f"not installed: {', '.join(lacking)}")
    print(
        f"Linux {platform.release()}, {given.connections} connections, medians of {given.repeats} x {given.seconds:g} s"
    )
    print("       requests a second         per s of nginx run time    nginx %: ran, ran + waited")
    pair = f"{'wrk':>8} {'loadgen':>8} {'ratio':>6} "
    print(f"{'':6} {pair} {pair}   {'wrk':>11} {'loadgen':>11}")
    good, document = True, {}
    with tempfile.TemporaryDirectory(prefix="loadgen-bench-") as home, nginx(Path(home), cores[-1]) as (pid, urls):
        for name, url in urls.items():
            samples = compare(pid, url, given.connections, given.seconds, given.repeats, cores[0])
            text, fine = row(name, samples)
            print(text, flush=True)
            good &= fine
            document[name] = {who: [vars(one) for one in some] for who, some in samples.items()}
    if given.json:
        given.json.write_text(json.dumps(document, indent=2) + "\n")
    print("all ratios within 5 % of wrk, and nginx was the limit:", "yes" if good else "NO")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
