"""Measures how long commands take from their start to their end, and `loadgen spec` to its first traffic.

Every command runs once per round, one after the other, so that a change of the machine's speed meets all of them.
Prints medians, and ratios to a bare interpreter that imports click.  With --against, another installation takes turns
with this one.  Needs a quiet machine.

    python benchmarks/startup.py [--rounds 9] [--against PATH/bin] [--json FILE]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from loadgen.model.errors import ExitCode

BARE = "python -c 'import click'"
PORT = "{port}"
ENDING = {
    "--version": ["--version"],
    "--help": ["--help"],
    "spec --help": ["spec", "--help"],
    "http -d 1s -c 2": ["http", f"http://127.0.0.1:{PORT}/", "-d", "1s", "-c", "2"],
}
"""Commands that are measured to their end, by the name that the table shows."""
TRAFFIC = "spec --vms 2 to its first traffic"
VM_PORT = 18_750
SPEC = ["spec", "--vms", "2", "--server", "builtin", "--base-port", str(VM_PORT)]

_LOOK_S = 0.005
_LONGEST_S = 60.0
_ESTABLISHED = "01"  # include/net/tcp_states.h, as /proc/net/tcp shows it
_SERVER = r"""
import asyncio
REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
class Server(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
    def data_received(self, data):
        self.transport.write(REPLY * data.count(b"\r\n\r\n"))
async def main():
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


@contextlib.contextmanager
def http_server() -> Iterator[int]:
    """Start a server for `loadgen http` in a separate process; yields its port."""
    with subprocess.Popen([sys.executable, "-c", _SERVER], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline())
        finally:
            server.kill()


def to_the_end_s(argv: list[str], directory: str) -> float:
    """How long a command takes; on a busy machine, a run may be INVALID."""
    began_s = time.perf_counter()
    done = subprocess.run(argv, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    took_s = time.perf_counter() - began_s
    if done.returncode not in (ExitCode.CONFORMING, ExitCode.INVALID):
        raise SystemExit(f"exit code {done.returncode}: {' '.join(argv)}")
    return took_s


def to_first_traffic_s(argv: list[str], directory: str) -> float:
    """Return the seconds until an engine of `loadgen spec` has connected to a VM; then the run is interrupted."""
    began_s = time.perf_counter()
    with subprocess.Popen(argv, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        while not _engines_are_connected(run.pid):
            if run.poll() is not None or time.perf_counter() - began_s > _LONGEST_S:
                run.kill()
                raise SystemExit(f"there was no traffic: {' '.join(argv)}")
            time.sleep(_LOOK_S)
        took_s = time.perf_counter() - began_s
        run.send_signal(signal.SIGTERM)  # SIGINT is ignored in what a shell starts in the background
    return took_s


def _engines_are_connected(pid: int) -> bool:
    """Whether a child of the process that is an engine has a TCP connection to a VM."""
    with contextlib.suppress(OSError):
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        ends = (f":{VM_PORT:04X}", f":{VM_PORT + 1:04X}")  # an engine also connects to itself, to try time-stamps
        connected = {f"socket:[{row[9]}]" for row in rows if row[2].endswith(ends) and row[3] == _ESTABLISHED}
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            process = Path("/proc") / child
            if b"loadgen.engine" in (process / "cmdline").read_bytes():
                for descriptor in (process / "fd").iterdir():
                    with contextlib.suppress(OSError):
                        if str(descriptor.readlink()) in connected:
                            return True
    return False


def measure(binaries: list[Path], rounds: int, port: int, directory: str) -> dict[str, list[list[float]]]:
    """Return by command the times of all rounds in s, for each installation; a first round is discarded."""
    found: dict[str, list[list[float]]] = {name: [[] for _ in binaries] for name in (BARE, *ENDING, TRAFFIC)}
    for number in range(rounds + 1):
        for name, times in found.items():
            for at, binary in enumerate(binaries):
                loadgen = str(binary / "loadgen")
                if name == BARE:
                    took_s = to_the_end_s([str(binary / "python"), "-c", "import click"], directory)
                elif name == TRAFFIC:
                    took_s = to_first_traffic_s([loadgen, *SPEC], directory)
                else:
                    words = [word.replace(PORT, str(port)) for word in ENDING[name]]
                    took_s = to_the_end_s([loadgen, *words], directory)
                if number:
                    times[at].append(took_s)
    return found


def table(found: dict[str, list[list[float]]], names: list[str]) -> str:
    """Return a table of the medians in ms, and of their ratios to the bare interpreter of the same installation."""
    lines = ["| command | " + " | ".join(f"{name}, ms | × bare" for name in names) + " |"]
    lines.append("| --- |" + " --- | --- |" * len(names))
    bare = [statistics.median(times) for times in found[BARE]]
    for command, of in found.items():
        medians = [statistics.median(times) for times in of]
        cells = [f"{took * 1e3:,.0f} | {took / one:.1f}" for took, one in zip(medians, bare, strict=True)]
        lines.append(f"| `{command}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--against", type=Path, help="Directory with the programs loadgen and python to compare with.")
    parser.add_argument("--json", type=Path, help="File to write all times to, in seconds.")
    given = parser.parse_args()
    binaries = [Path(sys.executable).parent]
    names = ["this"]
    if given.against:
        binaries.insert(0, given.against.absolute())
        names.insert(0, "before")
    with tempfile.TemporaryDirectory() as directory, http_server() as port:
        found = measure(binaries, given.rounds, port, directory)
    print(table(found, names))
    if given.json:
        given.json.write_text(json.dumps({"installations": list(map(str, binaries)), "times_s": found}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
