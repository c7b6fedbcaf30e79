"""Measures the coordinator's cost of a fleet: simulated machines, many per process, with real heartbeats and snapshots.

Each number of machines gets a coordinator of its own, which is alone on one core; the machines' processes share the
other cores.  Each machine is a real agent (Dask worker, commands, heartbeat, spool, TLS).  Only its engines are
simulated: each second they report what engines would report that play `--connections` with each of 16 servers.  Real
machines work in parallel; here they share a few cores, so latencies are upper bounds.  With 500 machines, latencies
mainly show the limits of this machine.

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
"""The targets, and the largest number of machines for which they are promised."""

_ROWS = (
    # (figure, its label, factor, decimals)
    ("cpu_share", "coordinator CPU, % of a core", 100, 1),
    ("rss_mb", "coordinator RSS, MB", 1, 0),
    ("agents_cpu_share", "machines' processes CPU, % of a core", 100, 0),
    ("machine_kb_per_s", "reports of each machine, KB/s", 1, 1),
    ("snapshot_p50_ms", "snapshot latency p50, ms", 1, 1),
    ("snapshot_p99_ms", "snapshot latency p99, ms", 1, 1),
    ("join_s", "start of the machines' processes, s", 1, 2),
    ("hello_s", "hello and clocks, s", 1, 2),
    ("admit_s", "placement, s", 1, 2),
    ("prepare_s", "prepare, s", 1, 2),
    ("start_s", "start: all armed after, s", 1, 3),
    ("start_skew_ms", "start skew, ms", 1, 1),
    ("stop_max_ms", "time until stop reached the last machine, ms", 1, 1),
    ("clock_error_ms", "clock: greatest error bound reported, ms", 1, 2),
    ("clock_offset_ms", "clock: greatest offset measured (true: 0), ms", 1, 2),
    ("losses", "engines lost", 1, 0),
    ("snapshots_missing", "snapshots lost", 1, 0),
    ("close_s", "close, s", 1, 2),
)


def measure(agents: int, options: argparse.Namespace, *, profile: bool = False) -> dict[str, Any]:
    """Return the figures of one run, which is played in a process of its own.  Raises SystemExit when the run fails."""
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
    """Return the medians of the numbers; losses are summed, and other values are taken from the last run."""
    found = dict(runs[-1])
    for name, value in found.items():
        if isinstance(value, float):
            found[name] = median(run[name] for run in runs)
    return {**found, "losses": sum(run["losses"] for run in runs)}


def show(results: Sequence[Mapping[str, Any]]) -> None:
    """Print a row for each figure, with a column for each number of machines."""
    width = max(len(title) for _, title, _, _ in _ROWS)
    print(f"{'machines':{width}}", *(f"{one['agents']:>9}" for one in results))
    for name, title, factor, decimals in _ROWS:
        print(f"{title:{width}}", *(f"{factor * one[name]:9.{decimals}f}" for one in results))


def say_growth(results: Sequence[Mapping[str, Any]]) -> str:
    """Return a line about the coordinator's cost of one more machine."""
    steps = []
    for one, two in itertools.pairwise(results):
        each = (two["cpu_share"] - one["cpu_share"]) / (two["agents"] - one["agents"])
        steps.append(f"{one['agents']} to {two['agents']}: {each:.3%}")
    return (
        f"cost of one more machine, share of a coordinator core: {', '.join(steps) or 'at least two sizes are needed'}"
    )


def show_profile(agents: int, found: Mapping[str, Any]) -> None:
    """Print how the coordinator's CPU time divides among parts of the code."""
    print(f"\nCPU time of the coordinator with {agents} machines by part (sampled in a separate run), % of a core:")
    for what, share in found["profile"].items():
        print(f"  {what:28} {share * found['cpu_share']:6.1%}  {share:4.0%} of the total")


def main() -> int:
    """Run the benchmark.  Exit code 0 when all fleets within the promised size reach the targets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--agents", default="50,100,200,500", help="Numbers of machines, separated by commas.")
    parser.add_argument("--seconds", type=float, default=10.0, help="Length of each measurement.")
    parser.add_argument("--repeats", type=int, default=1, help="Runs per number of machines; the medians are reported.")
    parser.add_argument(
        "--connections", type=int, default=20, help="Connections of each machine to each of 16 servers."
    )
    parser.add_argument("--engines", type=int, default=2, help="Engine processes per machine.")
    parser.add_argument("--no-tls", action="store_true", help="Connect without TLS.")
    parser.add_argument("--profile", action="store_true", help="Also profile the coordinator of the largest fleet.")
    parser.add_argument("--quick", action="store_true", help="Stop each fleet once instead of three times.")
    parser.add_argument("--json", type=Path, help="File to write all figures to.")
    options = parser.parse_args()
    if len(os.sched_getaffinity(0)) < 2:
        print("only one core: machines and coordinator share it, so the latencies are not meaningful")
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
    print(
        "up to 200 machines: coordinator under 25 % of a core, all stopped within 0.5 s, nothing lost:",
        "yes" if kept else "NO",
    )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
