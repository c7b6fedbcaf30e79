"""Compares the network tools of loadgen with their peers in one call: alternating runs, medians.

Probes: `loadgen iperf` against iperf3 and iperf2.  Proxies: `loadgen proxy` against HAProxy, nginx stream and socat,
each with its best settings.  All traffic crosses unshaped veth pairs between namespaces that this program creates, so
it must run as root.  A proxy has a core to itself (the last one); source and sink share the other cores.  The two ends
of a probe have a core each.

    python benchmarks/network.py [--quick] [--seconds 2] [--repeats 5] [--flows 1,16,256]
                                 [--only probes|proxies] [--json FILE]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # when run as a script

from benchmarks.network_peers import PROXIES, Probe, Proxy, find, missing, probes, version
from deploy.lab.network import Lab
from deploy.lab.topology import PROXY_HOST, SINK_HOST, Place
from loadgen.model.probe import Link

ENDS = str(Path(__file__).parent / "network_ends.py")
SINK_PORT = 7000
FIRST_PORT = 7001
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
_START_S = 10.0
PROBE_OMIT_S = 1.0
MARGIN_S = 0.3
"""Time for a client to start, which must not be counted as part of its test."""

Row = dict[str, float]
Samples = dict[str, dict[str, list[float]]]


class Bench:
    """The lab and the processes that run in it."""

    def __init__(self, lab: Lab, stack: contextlib.ExitStack, directory: Path) -> None:
        cores = sorted(os.sched_getaffinity(0))
        self._lab = lab
        self._stack = stack
        self.directory = directory
        self.last_core = {cores[-1]}
        self.other_cores = set(cores[:-1]) or self.last_core

    def start(self, place: Place, argv: Sequence[str], cores: set[int]) -> subprocess.Popen[str]:
        """Start a program in a place of the lab, on `cores`; the program ends with the benchmark."""
        inside = self._lab.inside(place)
        process = subprocess.Popen(
            [*inside.prefix, find(argv[0]), *argv[1:]],
            pass_fds=inside.descriptors,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
            start_new_session=True,  # socat forks; all its processes must end
        )
        self._stack.callback(_end, process)
        return process

    def ends(self, what: str, host: str, port: int, *rest: object) -> subprocess.Popen[str]:
        """Start a source in the source's place."""
        argv = [sys.executable, ENDS, what, host, str(port), *map(str, rest)]
        return self.start(Place.SOURCE, argv, self.other_cores)

    def wait_for_port(self, host: str, port: int, process: subprocess.Popen[str]) -> None:
        """Wait until a process listens on the port.  Raises SystemExit when none does in time."""
        inside = self._lab.inside(Place.SOURCE)
        probe = f"import socket; socket.create_connection(({host!r}, {port}), 1).close()"
        deadline = time.monotonic() + _START_S
        command = [*inside.prefix, sys.executable, "-c", probe]
        while subprocess.run(command, pass_fds=inside.descriptors, stderr=subprocess.DEVNULL, check=False).returncode:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{process.args!r} does not listen on port {port}")
            time.sleep(0.05)


def _end(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    process.wait()
    if process.stdout:
        process.stdout.close()


def cpu_s(pid: int) -> float:
    """CPU time of a process and its descendants, running or waited for (socat has a process for each connection)."""
    total, todo = 0.0, [pid]
    parents: dict[int, list[int]] = {}
    stats: dict[int, list[str]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                stats[int(entry.name)] = fields
                parents.setdefault(int(fields[1]), []).append(int(entry.name))
    while todo:
        one = todo.pop()
        if one in stats:
            total += sum(int(field) for field in stats[one][11:15]) / _CLOCK_TICKS
            todo += parents.get(one, [])
    return total


def rss_bytes(pid: int) -> int:
    """The resident memory of one process, in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def result_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return the JSON document on the last line of a source's output."""
    assert process.stdout is not None
    lines = process.stdout.read().splitlines()
    process.wait()
    if not lines:
        raise SystemExit(f"{process.args!r} said nothing")
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def wait_for_go(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    if process.stdout.readline().strip() != "go":
        raise SystemExit(f"{process.args!r} did not start its measurement")


def add(samples: Samples, name: str, row: Row) -> None:
    for key, value in row.items():
        samples.setdefault(name, {}).setdefault(key, []).append(value)


def measure_flows(bench: Bench, pid: int, port: int, flows: int, seconds: float) -> Row:
    source = bench.ends("flows", PROXY_HOST, port, flows, seconds)
    wait_for_go(source)
    before = cpu_s(pid)
    began = time.monotonic()
    time.sleep(seconds)
    used, took, memory = cpu_s(pid) - before, time.monotonic() - began, rss_bytes(pid)
    found = result_of(source)
    sent = found["bytes"]
    rate = sum(sent) / found["seconds"]
    return {
        f"{flows} Gbit/s": rate * 8 / 1e9,
        f"{flows} CPU-s/GB": used / took / rate * 1e9,
        f"{flows} slowest/fastest": min(sent) / max(sent) if max(sent) else 0.0,
        f"{flows} RSS MB": memory / 1e6,
    }


def compare_proxies(bench: Bench, flows: Sequence[int], seconds: float, repeats: int) -> Samples:
    sink = bench.start(Place.SINK, [sys.executable, ENDS, "sink", SINK_HOST, str(SINK_PORT)], bench.other_cores)
    bench.wait_for_port(SINK_HOST, SINK_PORT, sink)
    running: list[tuple[Proxy, int, int]] = []
    for number, proxy in enumerate(PROXIES):
        if package := missing(proxy):
            print(f"not installed, left out: {proxy.name} (Debian package: {package})", file=sys.stderr)
            continue
        port = FIRST_PORT + number
        command = proxy.command(bench.directory, PROXY_HOST, port, f"{SINK_HOST}:{SINK_PORT}")
        process = bench.start(Place.PROXY, command, bench.last_core)
        bench.wait_for_port(PROXY_HOST, port, process)
        running.append((proxy, process.pid, port))
    samples: Samples = {}
    for number in range(repeats):
        say(f"proxies, {number + 1} of {repeats}")
        for count in flows:
            for proxy, pid, port in running:
                add(samples, proxy.name, measure_flows(bench, pid, port, count, seconds))
        for proxy, _, port in running:
            found = result_of(bench.ends("pingpong", PROXY_HOST, port, seconds))
            add(samples, proxy.name, {"p50 us": found["p50_us"], "p99 us": found["p99_us"]})
        for proxy, _, port in running:
            found = result_of(bench.ends("connects", PROXY_HOST, port, 16, seconds))
            add(samples, proxy.name, {"connects/s": found["per_s"]})
    return samples


def measure_probe(bench: Bench, probe: Probe, port: int, seconds: float, number: int) -> Row:
    """Measure a probe for `seconds`, after one second that is not measured."""
    known = {
        "host": PROXY_HOST,
        "port": str(port),
        "seconds": f"{seconds:g}",
        "whole": f"{seconds + PROBE_OMIT_S:g}",
        "record": str(bench.directory / f"record-{port}-{number}"),
    }
    server = bench.start(Place.PROXY, [part.format(**known) for part in probe.server], bench.last_core)
    try:
        bench.wait_for_port(PROXY_HOST, port, server)
        client = bench.start(Place.SOURCE, [part.format(**known) for part in probe.client], bench.other_cores)
        # The same measure for all: CPU time of the processes, read from outside, well within the measured time.
        time.sleep(PROBE_OMIT_S + MARGIN_S)
        pids = (server.pid, client.pid)
        before, began = sum(map(cpu_s, pids)), time.monotonic()
        time.sleep(seconds - 2 * MARGIN_S)
        cores = (sum(map(cpu_s, pids)) - before) / (time.monotonic() - began)
        assert client.stdout is not None
        rate = probe.rate_bps(client.stdout.read())
        client.wait()
        return {"Gbit/s": rate / 1e9, "CPU-s/GB": cores / (rate / 8) * 1e9}
    finally:
        _end(server)


def compare_probes(bench: Bench, seconds: float, repeats: int) -> Samples:
    samples: Samples = {}
    for number in range(repeats):
        say(f"probes, {number + 1} of {repeats}")
        for index, probe in enumerate(probes()):
            if probe.package and not find(probe.client[0]):
                if not number:
                    print(f"not installed, left out: {probe.name} (Debian package: {probe.package})", file=sys.stderr)
                continue
            add(samples, probe.name, measure_probe(bench, probe, 7100 + index, seconds, number))
    return samples


def medians(samples: Samples) -> dict[str, Row]:
    return {name: {key: median(values) for key, values in row.items()} for name, row in samples.items()}


def print_table(title: str, table: dict[str, Row], base: str) -> None:
    """Print every figure, followed by its ratio to `base` (ours over theirs)."""
    if not table:
        return
    print(f"\n{title}; in brackets, ours ({base}) over theirs")
    keys = list(next(iter(table.values())))
    for key in keys:
        print(f"  {key}")
        for name, row in table.items():
            ours = table[base][key]
            ratio = "" if name == base or not row[key] else f"  ({ours / row[key]:.2f})"
            print(f"    {name:26} {row[key]:10.3f}{ratio}")


def ratios(table: dict[str, Row], base: str) -> dict[str, Row]:
    """Return the ratios of our figures to those of the peers, by peer."""
    return {
        name: {key: table[base][key] / value for key, value in row.items() if value}
        for name, row in table.items()
        if name != base
    }


def say(text: str) -> None:
    print(f"· {text}", file=sys.stderr)


def _kinds(table: dict[str, Row]) -> Iterator[tuple[str, dict[str, Row]]]:
    for kind, base in (("splice", "loadgen splice"), ("copy", "loadgen copy")):
        theirs = {one.name for one in PROXIES if one.kind == kind or kind == "splice"} - {"loadgen copy"}
        if kind == "copy":
            theirs = {one.name for one in PROXIES if one.kind == "copy"}
        yield base, {name: row for name, row in table.items() if name in theirs}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="Run in under two minutes (1 s, 3 repeats), with less certain results."
    )
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--flows", default="1,16,256")
    parser.add_argument("--only", choices=["probes", "proxies"])
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    seconds, repeats = (1.0, 3) if given.quick else (given.seconds, given.repeats)
    flows = [int(part) for part in given.flows.split(",")]
    document: dict[str, Any] = {
        "machine": {"kernel": platform.release(), "cores": len(os.sched_getaffinity(0)), "load": os.getloadavg()},
        "versions": {p: version(p) for p in ("iperf3", "iperf", "haproxy", "nginx", "socat") if find(p)},
        "seconds": seconds,
        "repeats": repeats,
    }
    with (
        tempfile.TemporaryDirectory(prefix="loadgen-bench-") as directory,
        Lab(Link.NONE) as lab,
        contextlib.ExitStack() as stack,
    ):
        bench = Bench(lab, stack, Path(directory))
        if given.only != "proxies":
            document["probes"] = {"samples": (samples := compare_probes(bench, seconds, repeats))}
            table = medians(samples)
            document["probes"] |= {"medians": table, "ratios": ratios(table, "loadgen iperf")}
        if given.only != "probes":
            document["proxies"] = {"samples": (samples := compare_proxies(bench, flows, seconds, repeats))}
            table = medians(samples)
            document["proxies"] |= {"medians": table}
            document["proxies"]["ratios"] = {base: ratios(part, base) for base, part in _kinds(table)}
    print(f"Linux {platform.release()}, {document['machine']['cores']} cores, unshaped veth between namespaces;")
    print(f"medians of {repeats} interleaved runs of {seconds:g} s. " + "; ".join(document["versions"].values()))
    if "probes" in document:
        print_table("Probes, one flow", document["probes"]["medians"], "loadgen iperf")
    if "proxies" in document:
        for base, part in _kinds(document["proxies"]["medians"]):
            print_table(f"Proxies, against {base}", part, base)
    if given.json:
        given.json.write_text(json.dumps(document, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
