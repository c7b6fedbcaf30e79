"""What a fleet costs its coordinator: simulated machines, many in few processes, with real heartbeats and snapshots.

For each number of machines a coordinator of its own, alone on one core; the machines' processes share the others.
Each machine is a real agent (Dask worker, commands, heartbeat, spool, TLS); only its engines are made up: each second
they report what engines would that play `--connections` with each of 16 servers.  What the machines do at once for
want of cores they do one after another here, so latencies are upper bounds, and those of 500 say more of this machine.

    python benchmarks/fleet.py [--agents 50,100,200,500] [--seconds 10] [--repeats 1] [--connections 20] [--engines 2]
                               [--no-tls] [--profile] [--quick] [--json FILE]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

TARGETS = 16
PER_PROCESS = 25
MAX_CPU_SHARE, MAX_STOP_MS, PROMISED_AGENTS = 0.25, 500.0, 200
"""What is promised of so many machines, and fewer."""

_ROWS = (
    # (figure, what it is, factor, decimals)
    ("cpu_share", "coordinator CPU, % of a core", 100, 1),
    ("rss_mb", "coordinator RSS, MB", 1, 0),
    ("agents_cpu_share", "machines' processes CPU, % of a core", 100, 0),
    ("machine_kb_per_s", "a machine reports, KB/s", 1, 1),
    ("snapshot_p50_ms", "snapshot latency p50, ms", 1, 1),
    ("snapshot_p99_ms", "snapshot latency p99, ms", 1, 1),
    ("join_s", "machines' processes up, s", 1, 2),
    ("hello_s", "hello and clocks, s", 1, 2),
    ("admit_s", "placement, s", 1, 2),
    ("prepare_s", "prepare, s", 1, 2),
    ("start_s", "start: all armed after, s", 1, 3),
    ("start_skew_ms", "start skew, ms", 1, 1),
    ("stop_max_ms", "stop reached the last machine after, ms", 1, 1),
    ("clock_error_ms", "clock: greatest error told, ms", 1, 2),
    ("clock_offset_ms", "clock: greatest offset found (it is 0), ms", 1, 2),
    ("losses", "engines lost", 1, 0),
    ("snapshots_missing", "snapshots that did not come", 1, 0),
    ("close_s", "close, s", 1, 2),
)


def measure(agents: int, options: argparse.Namespace, *, profile: bool = False) -> dict[str, Any]:
    """The figures of one run in a process of its own.  Raises SystemExit when that fails."""
    cores = sorted(os.sched_getaffinity(0))
    question = {
        "agents": agents,
        "seconds": options.seconds,
        "tls": not options.no_tls,
        "profile": profile,
        "engines": options.engines,
        "targets": TARGETS,
        "connections": options.connections,
        "per_process": PER_PROCESS,
        "core": cores[0],
        "agents_cores": cores[1:] or cores,
        "stops": 1 if options.quick else 3,
    }
    program = Path(__file__).parent / "fleet_coordinator.py"
    command = [sys.executable, str(program), json.dumps(question)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the coordinator of {agents} machines ended with code {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout)
    return {**found, "stop_max_ms": max(found["stop_ms"])}


def middle(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The medians of their numbers; losses are added up, and of the rest it is the last one's."""
    found = dict(runs[-1])
    for name, value in found.items():
        if isinstance(value, float):
            found[name] = median(run[name] for run in runs)
    return {**found, "losses": sum(run["losses"] for run in runs)}


def show(results: Sequence[Mapping[str, Any]]) -> None:
    """A row for each figure, a column for each number of machines."""
    width = max(len(title) for _, title, _, _ in _ROWS)
    print(f"{'machines':{width}}", *(f"{one['agents']:>9}" for one in results))
    for name, title, factor, decimals in _ROWS:
        print(f"{title:{width}}", *(f"{factor * one[name]:9.{decimals}f}" for one in results))


def say_growth(results: Sequence[Mapping[str, Any]]) -> str:
    """What one more machine costs."""
    steps = []
    for one, two in itertools.pairwise(results):
        each = (two["cpu_share"] - one["cpu_share"]) / (two["agents"] - one["agents"])
        steps.append(f"{one['agents']} to {two['agents']}: {each:.3%}")
    return f"one more machine costs the coordinator, of a core: {', '.join(steps) or 'one size says nothing'}"


def show_profile(agents: int, found: Mapping[str, Any]) -> None:
    """Where the coordinator's time goes."""
    print(f"\nwhere the coordinator's time goes with {agents} machines (sampled, in a run of its own), % of a core:")
    for what, share in found["profile"].items():
        print(f"  {what:28} {share * found['cpu_share']:6.1%}  {share:4.0%} of it")


def main() -> int:
    """Exit code 0 when the promise is kept by all that it was made for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--agents", default="50,100,200,500", help="how many machines, one number or several")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each is measured")
    parser.add_argument("--repeats", type=int, default=1, help="medians of so many runs")
    parser.add_argument("--connections", type=int, default=20, help="of each machine to each of 16 servers")
    parser.add_argument("--engines", type=int, default=2, help="engine processes of a machine")
    parser.add_argument("--no-tls", action="store_true", help="without encryption")
    parser.add_argument("--profile", action="store_true", help="also say where the time goes, of the largest fleet")
    parser.add_argument("--quick", action="store_true", help="stop once, not three times")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    options = parser.parse_args()
    if len(os.sched_getaffinity(0)) < 2:
        print("there is one core only: machines and coordinator share it, and the latencies say nothing")
    sizes = [int(size) for size in options.agents.split(",")]
    results = [middle([measure(size, options) for _ in range(options.repeats)]) for size in sizes]
    show(results)
    print(say_growth(results))
    if options.profile:
        profiled = measure(sizes[-1], options, profile=True)
        show_profile(sizes[-1], profiled)
        results[-1]["profile"] = profiled["profile"]
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    promised = [one for one in results if one["agents"] <= PROMISED_AGENTS]
    kept = all(
        one["cpu_share"] < MAX_CPU_SHARE and one["stop_max_ms"] < MAX_STOP_MS and not one["losses"] for one in promised
    )
    print("up to 200 machines under 25 % of a core, all stopped within 0.5 s, none lost:", "yes" if kept else "NO")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
