"""Measures how often the self-check is wrong: known-good and known-bad set-ups, each played several times.

The load generator has one core; a responder in C, which takes 5 ms for each request, has another core.  In the good
set-ups the generator can make the requested load, whatever the server does.  In the bad set-ups it cannot, and its
figures do not describe the server.  The responder records the true time of each request, so the error of the figures is
known.

 false alarm   INVALID (exit code 3) in a good set-up
 miss          a verdict in a bad set-up

    python benchmarks/trust.py [--repeats 5] [--seconds 3] [--engines compiled,python] [--json FILE]

Exit code 1 when there was a false alarm or a miss.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # when run as a script

from benchmarks.engine_responder import Responder, build, percentile_ms, serving
from loadgen.engine.choice import available

DELAY_US = 5_000
INVALID = 3
_LOADGEN = Path(sys.executable).with_name("loadgen")
_START_S = 2.0

Disturbance = Callable[["Scene"], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Scene:
    """A run in progress: the process of `loadgen`, the server, and the core of the process."""

    loadgen_pid: int
    responder: Responder
    core: int


@dataclass(frozen=True, slots=True)
class Setup:
    """The arguments of `loadgen http`, and the disturbance during the run.  `bad`: its figures cannot be trusted."""

    name: str
    bad: bool
    options: tuple[str, ...]
    disturb: Disturbance
    delay_us: int = DELAY_US


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The outcome of one run.  Errors are reported minus true values; None when there is nothing to compare."""

    setup: str
    engine: str
    bad: bool
    invalid: bool
    p50_error_ms: float | None
    p99_error_ms: float | None
    failed_checks: list[str]


@contextlib.contextmanager
def quiet(scene: Scene) -> Iterator[None]:
    """A context manager that disturbs nothing."""
    yield


def busy(loops: int) -> Disturbance:
    """Run this many busy loops on the generator's core."""

    @contextlib.contextmanager
    def disturb(scene: Scene) -> Iterator[None]:
        code = "while True: pass"
        processes = [
            subprocess.Popen([sys.executable, "-c", code], preexec_fn=lambda: os.sched_setaffinity(0, {scene.core}))
            for _ in range(loops)
        ]
        try:
            yield
        finally:
            for process in processes:
                process.kill()
                process.wait()

    return disturb


@contextlib.contextmanager
def slightly_busy(scene: Scene) -> Iterator[None]:
    """Run a process that uses a tenth of the generator's core."""
    code = (
        "import time\nwhile True:\n e = time.monotonic() + .001\n while time.monotonic() < e: pass\n time.sleep(.009)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], preexec_fn=lambda: os.sched_setaffinity(0, {scene.core}))
    try:
        yield
    finally:
        process.kill()
        process.wait()


def stopping(pids: Callable[[Scene], Sequence[int]], stop_s: float, go_s: float) -> Disturbance:
    """Stop processes for a while, again and again."""

    @contextlib.contextmanager
    def disturb(scene: Scene) -> Iterator[None]:
        over = threading.Event()
        chosen = pids(scene)

        def pulse() -> None:
            while not over.wait(go_s):
                for number, wait_s in ((signal.SIGSTOP, stop_s), (signal.SIGCONT, 0.0)):
                    for pid in chosen:
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(pid, number)
                    time.sleep(wait_s)

        thread = threading.Thread(target=pulse)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    return disturb


def _server(scene: Scene) -> Sequence[int]:
    return [scene.responder.pid]


def _engines(scene: Scene) -> Sequence[int]:
    text = Path(f"/proc/{scene.loadgen_pid}/task/{scene.loadgen_pid}/children").read_text()
    return [int(pid) for pid in text.split()]


SETUPS = (
    Setup("open loop, 1,000/s", False, ("--rate", "1000/s", "-c", "64"), quiet),
    Setup("open loop, 5,000/s, Poisson", False, ("--rate", "5000/s", "--poisson", "-c", "256"), quiet),
    Setup("closed loop, 16 connections", False, ("-c", "16"), quiet),
    Setup("a neighbour uses 10 % of the core", False, ("--rate", "1000/s", "-c", "64"), slightly_busy),
    Setup("the server is stopped, .2 of 1 s", False, ("-c", "32"), stopping(_server, 0.2, 0.8)),
    Setup("the server refuses", False, ("--rate", "500/s", "-c", "16"), quiet, delay_us=-1),
    Setup("closed loop, the client saturates", True, ("-c", "64"), quiet, delay_us=0),
    Setup("open loop, far above its maximum", True, ("--rate", "400000/s", "-c", "64"), quiet, delay_us=0),
    Setup("a busy loop on the core", True, ("--rate", "1000/s", "-c", "64"), busy(1)),
    Setup("four busy loops on the core", True, ("--rate", "5000/s", "-c", "256"), busy(4)),
    Setup("the engine is stopped, .2 of 1 s", True, ("--rate", "1000/s", "-c", "64"), stopping(_engines, 0.2, 0.8)),
    Setup("the same in a closed loop", True, ("-c", "32"), stopping(_engines, 0.2, 0.8)),
)


def play(setup: Setup, engine: str, program: Path, cores: tuple[int, int], seconds: float) -> Outcome:
    """Play one run through the command line, as a user would."""
    ours, theirs = cores
    with (
        serving(program, theirs, delay_us=max(0, setup.delay_us)) as responder,
        tempfile.TemporaryDirectory() as scratch,
    ):
        url = responder.url(100) if setup.delay_us >= 0 else "http://127.0.0.1:9/"
        command = [
            str(_LOADGEN),
            "http",
            url,
            "--engine",
            engine,
            "--engines",
            "1",
            "-d",
            f"{seconds}s",
            *setup.options,
        ]
        run = subprocess.Popen(
            [*command, "--json", "--out", f"{scratch}/record"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            preexec_fn=lambda: os.sched_setaffinity(0, {ours}),
        )
        time.sleep(_START_S)  # the window is about to begin, or has begun
        with setup.disturb(Scene(run.pid, responder, ours)):
            said, _ = run.communicate(timeout=60 + seconds)
        truth = responder.truth() if setup.delay_us > 0 else None
    document: dict[str, Any] = json.loads(said) if said else {}
    checks = document.get("trust", {}).get("checks", [])
    times = document.get("total", {}).get("response_ms", {})
    errors = [
        times[name]["low"] - percentile_ms(truth, q) if truth is not None and truth.sum() and times.get(name) else None
        for name, q in (("p50", 50), ("p99", 99))
    ]
    return Outcome(
        setup=setup.name,
        engine=engine,
        bad=setup.bad,
        invalid=run.returncode == INVALID,
        p50_error_ms=errors[0],
        p99_error_ms=errors[1],
        failed_checks=[check["name"] for check in checks if not check["ok"]],
    )


def show(setups: Sequence[Setup], outcomes: Sequence[Outcome], engines: Sequence[str]) -> None:
    """Print a row for each set-up and engine."""
    print(f"{'':38}{'engine':10}{'INVALID':>9}  {'reported - true, ms':^24}  which checks failed")
    print(f"{'':38}{'':10}{'':>9}  {'p50, worst':>11} {'p99, worst':>11}")
    for setup in setups:
        for engine in engines:
            mine = [one for one in outcomes if (one.setup, one.engine) == (setup.name, engine)]
            invalid = sum(one.invalid for one in mine)
            failed = sorted({name for one in mine for name in one.failed_checks})
            worst = [
                max((value for value in values if value is not None), key=abs, default=None)
                for values in ([one.p50_error_ms for one in mine], [one.p99_error_ms for one in mine])
            ]
            said = ["-" if value is None else f"{value:+.2f}" for value in worst]
            kind = "bad " if setup.bad else "good"
            print(
                f"{kind} {setup.name:34}{engine:10}{invalid:>4} of {len(mine)}  {said[0]:>11} {said[1]:>11}  "
                f"{', '.join(failed)}"
            )


def main() -> int:
    """Run the benchmark.  Exit code 0 when no run was judged wrongly."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5, help="Runs of each set-up.")
    parser.add_argument("--seconds", type=float, default=3.0, help="Length of the measured window.")
    parser.add_argument(
        "--engines",
        default=",".join(kind.value for kind in available()),
        help="Engines to measure, separated by commas.",
    )
    parser.add_argument("--only", default="", help="Only set-ups whose names contain this text.")
    parser.add_argument("--json", type=Path, help="File to write all outcomes to.")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("this benchmark needs two cores: one for the generator, one for the server")
    engines = options.engines.split(",")
    setups = [setup for setup in SETUPS if options.only in setup.name]
    outcomes = []
    with tempfile.TemporaryDirectory() as scratch:
        program = build(Path(scratch))
        for number in range(options.repeats):
            for setup in setups:
                print(f"· round {number + 1}: {setup.name}", file=sys.stderr)
                for engine in engines:
                    outcomes.append(play(setup, engine, program, (cores[1], cores[0]), options.seconds))
    show(setups, outcomes, engines)
    alarms = sum(one.invalid and not one.bad for one in outcomes)
    misses = sum(one.bad and not one.invalid for one in outcomes)
    good, bad = sum(not one.bad for one in outcomes), sum(one.bad for one in outcomes)
    print(f"\nfalse alarms: {alarms} of {good} good runs; misses: {misses} of {bad} bad runs")
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in outcomes], indent=2) + "\n")
    return 1 if alarms or misses else 0


if __name__ == "__main__":
    sys.exit(main())
