"""Does --check-headroom give the right answer?  Trials with a saturated and with an idle load generator.

    python -m benchmarks.headroom saturated 10
    python -m benchmarks.headroom idle 10

The server is the responder of the engine benchmark, in C.  Saturated: it answers the Python engine at once, which costs
more than the responder does.  Idle: it answers 16 connections of the compiled engine after 5 ms.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.engine_responder import build, serving

_LOADGEN = str(Path(sys.executable).parent / "loadgen")
_SETUPS = {"saturated": (0, 256, "python", "generator"), "idle": (5_000, 16, "compiled", "far")}
"""By name: the delay of the responder in µs, the number of connections, the engine, and the right answer."""


def trial(url: str, connections: int, engine: str, directory: Path) -> dict[str, object]:
    """Return the answer of one check, with its figures."""
    command = [
        _LOADGEN,
        "http",
        url,
        "-c",
        str(connections),
        "-d",
        "3s",
        "--warmup",
        "1s",
        "--engines",
        "1",
        "--engine",
        engine,
        "--check-headroom",
        "--json",
    ]
    done = subprocess.run([*command, "--out", str(directory)], capture_output=True, text=True, check=False)
    document = json.loads(done.stdout)
    rates = [round(step["per_s"]) for step in document["steps"]]
    busy = [round(step["busy_share"], 2) for step in document["steps"]]
    return {**document["headroom"], "verdict": document["verdict"], "per_s": rates, "busy": busy}


def main() -> int:
    """Play the trials; returns 1 when an answer is wrong."""
    name, count = sys.argv[1], int(sys.argv[2])
    delay_us, connections, engine, right = _SETUPS[name]
    wrong = 0
    with tempfile.TemporaryDirectory() as home:
        program = build(Path(home))
        for number in range(count):
            with serving(program, 1, delay_us=delay_us) as server:
                found = trial(server.url(100), connections, engine, Path(home) / f"{name}-{number}")
            wrong += found["limit"] != right
            print(name, number + 1, found, flush=True)
    print(f"{name}: {count - wrong} of {count} answers are right")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
