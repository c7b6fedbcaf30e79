"""Compares `loadgen http --http2` with h2load: requests per second of one client thread, in alternating runs.

nginx is alone on the last core, and the client on the first.  Both clients use the same number of connections and of
streams.  The Python engine is the limit, h2load is not: the ratio is the part of nginx's rate that one engine makes.

    python benchmarks/http2_peers.py [--connections 4] [--streams 25] [--seconds 2] [--repeats 5]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))  # when run as a script

from benchmarks.http_peers import nginx

_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"


def h2load(url: str, given: argparse.Namespace, core: int) -> float:
    """Run h2load and return its requests per second."""
    load = ("-c", str(given.connections), "-m", str(given.streams), "-D", str(given.seconds), "-t", "1")
    done = _pinned(core, "h2load", *load, url)
    found = re.search(r"finished in .*?, ([\d.]+) req/s", done)
    if found is None or not re.search(r" 0 failed, 0 errored, 0 timeout", done):
        raise SystemExit(f"h2load reported errors:\n{done}")
    return float(found[1])


def loadgen(url: str, given: argparse.Namespace, core: int) -> float:
    """Run `loadgen http --http2` and return its requests per second."""
    own = (sys.executable, "-c", "from coordinator.cli import main; raise SystemExit(main())")
    load = ("-c", str(given.connections), "--streams", str(given.streams), "-d", f"{given.seconds}s", "--engines", "1")
    with tempfile.TemporaryDirectory(prefix="loadgen-bench-") as scratch:
        done = _pinned(core, *own, "http", "--http2", "--insecure", url, *load, "--json", "--out", f"{scratch}/run")
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
    if done.returncode not in (0, 3):  # 3: the client was the limit
        raise SystemExit(f"{argv[0]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and print a line for HTTP and for HTTPS."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--streams", type=int, default=25)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args(arguments)
    lacking = [name for name in ("nginx", "h2load", "openssl", "taskset") if not shutil.which(name, path=_PATH)]
    if lacking:
        sys.exit(f"not installed: {', '.join(lacking)}")
    cores = sorted(os.sched_getaffinity(0))
    print(f"{given.connections} connections x {given.streams} streams, medians of {given.repeats} x {given.seconds} s")
    with tempfile.TemporaryDirectory() as home, nginx(Path(home), cores[-1], http2=True) as found:
        for name in ("HTTP", "HTTPS"):
            rounds = []
            for _ in range(given.repeats):
                url = found[1][name].replace("/text", "/short")
                rounds.append((h2load(url, given, cores[0]), loadgen(url, given, cores[0])))
            theirs, ours = (median(some) for some in zip(*rounds, strict=True))
            ratio = median(b / a for a, b in rounds)
            print(f"{name:6} h2load {theirs:9,.0f}/s  loadgen {ours:7,.0f}/s  ratio {ratio:.3f}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
