"""Measures the client's cost of a request: both engines beside wrk, ab, httperf, h2load and hey.

The client has a core of its own.  A responder in C, which costs less than any client, has another one, so that the
client is the bottleneck.  The engines of loadgen play as in a user's run: an engine process below its agent, with a
tape, all accounting, and a snapshot each second.

 closed   64 keep-alive connections, HTTP/1.1, one thread.  Each client alternates with wrk in turns of 40 ms
          (engine_turns.py explains why); the ratio to wrk is the median of the ratios of blocks of twelve turns.  CPU
          is user and system time of the client's process, read from the kernel's CPU clock of the process; requests
          are counted by the responder.  Both are read between turns, so a client's start and end do not count.  Turns
          in which a client did not saturate its core are discarded; if other processes used the core, the measurement
          is repeated.
 paced    The largest number of paced connections such that each is within 1 % of 400 kbit/s and the p99 lateness is
          below 5 ms.
 memory   Memory of the engine process per open idle connection: the difference of private pages between many and few
          connections.
 latency  Reported minus true latency, at half of the client's maximum rate, which is measured in a closed loop just
          before.  The responder takes 5 ms and records the true latency itself.  wrk and ab have no option for a rate;
          they get the number of connections that results in that rate.

    python benchmarks/engine.py [--quick] [--only closed|paced|memory|latency] [--seconds 2] [--rounds 5] [--json FILE]

Exit code 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import platform
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

sys.path.insert(0, str(Path(__file__).parents[1]))  # when run as a script

from benchmarks import engine_ours as ours
from benchmarks import engine_peers as peers
from benchmarks import engine_report as report
from benchmarks.engine_meter import Meter, Window, between, wait_for_quiet
from benchmarks.engine_peers import LatencyError
from benchmarks.engine_responder import Responder, build, percentile_ms, serving
from benchmarks.engine_turns import Turns, ratio, summary, take_turns
from loadgen.engine.api import EngineKind
from loadgen.engine.choice import available

KB = 1024
CONNECTIONS = 64
DELAY_US = round(report.DELAY_MS * 1e3)
SERVER_PORTS = 8  # with the ephemeral ports of one address, enough for as many connections as this machine can open
PACED_STEP = 1_000
PACED_SECONDS = 8.0
FEW, MANY = 800, 8_000
SPARE_FILES = 100
PATIENCE_S, QUICK_PATIENCE_S = 60.0, 12.0  # per round, including waits for a quiet machine and repetitions
GREATEST_S = 0.4  # the time over which a client's maximum rate is measured
TRIES = 4

T = TypeVar("T")


@dataclass(slots=True)
class Bench:
    """Where and for how long the benchmark runs.

    Until `patient_until` (time.monotonic()) it waits for a quiet machine and repeats disturbed measurements.
    """

    program: Path
    client_core: int
    responder_core: int
    seconds: float
    rounds: int
    patient_until: float
    engines: tuple[EngineKind, ...] = field(default_factory=available)

    def serving(self, **how: int) -> Any:
        """A context manager: a responder that runs inside the context."""
        return serving(self.program, self.responder_core, **how)

    def wait_for_quiet(self) -> None:
        """Wait until both cores are quiet, at most until `patient_until`."""
        wait_for_quiet((self.client_core, self.responder_core), self.patient_until)

    @property
    def duel_s(self) -> float:
        """How long two clients alternate."""
        return self.seconds * self.rounds

    def undisturbed(self, measure: Callable[[], T], fault_of: Callable[[T], str]) -> tuple[T, list[str]]:
        """The first measurement without a fault, or the last one; and the faults of the discarded ones."""
        discarded: list[str] = []
        for tried in itertools.count(1):
            self.wait_for_quiet()
            found = measure()
            fault = fault_of(found)
            if not fault or not self.may_retry(tried):
                break
            discarded.append(fault)
        return found, discarded

    def may_retry(self, tried: int) -> bool:
        return tried < TRIES and time.monotonic() < self.patient_until


def closed(bench: Bench, sizes: Sequence[int], chosen: Sequence[peers.Peer]) -> dict[int, dict[str, Any]]:
    """By reply size and client: medians and their samples.  Every client alternates with the first of `chosen`."""
    base, *others = chosen
    rivals = {peer.name: peer for peer in others} | {engine.value: engine for engine in bench.engines}
    found: dict[int, dict[str, Any]] = {}
    with bench.serving() as responder:
        for size in sizes:
            row: dict[str, Any] = {base.name: {}}
            of_base: list[Window] = []
            for name, rival in rivals.items():
                play = partial(duel, bench, responder, size, base, rival)
                turns, retried = bench.undisturbed(play, lambda turns: turns.fault)
                of_base += [first for first, _ in turns.windows]
                row[name] = summary([second for _, second in turns.windows], turns.fault, retried) | ratio(turns)
                say(f"closed loop, {size} B, {name} in turns with {base.name}: {row[name]['x_wrk']:.3f} of its CPU")
            row[base.name] = summary(of_base)
            found[size] = row
    return found


def duel(bench: Bench, responder: Responder, size: int, base: peers.Peer, rival: peers.Peer | EngineKind) -> Turns:
    """`base` and `rival` alternate; returns the turns of both."""
    core = bench.client_core
    with peers.playing(base, responder, size, CONNECTIONS, core, bench.duel_s) as base_pid:
        os.kill(base_pid, signal.SIGSTOP)

        async def watch(pid: int, begin_ns: int, end_ns: int) -> Turns:
            await asyncio.sleep((begin_ns - time.monotonic_ns()) / 1e9)
            return await take_turns((base_pid, pid), responder, core, end_ns)

        if isinstance(rival, peers.Peer):
            with peers.playing(rival, responder, size, CONNECTIONS, core, bench.duel_s) as pid:
                begin_ns = time.monotonic_ns()
                return asyncio.run(watch(pid, begin_ns, begin_ns + int(bench.duel_s * 1e9)))
        load = ours.fixed_size(rival, responder, size, CONNECTIONS, seconds=bench.duel_s, settle_s=peers.SETTLE_S)
        return ours.play_watched(load, core, watch)


def paced(bench: Bench) -> dict[str, Any]:
    """By engine: the largest number of connections that keeps pace, in steps of PACED_STEP, and all trials."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1] - SPARE_FILES
    found: dict[str, Any] = {}
    with bench.serving(ports=SERVER_PORTS) as responder:
        for engine in bench.engines:
            trials: list[ours.Pace] = []

            def holds(connections: int, engine: EngineKind = engine, trials: list[ours.Pace] = trials) -> bool:
                for tried in range(1, TRIES + 1):
                    bench.wait_for_quiet()
                    load = ours.paced(engine, responder, connections, seconds=PACED_SECONDS)
                    pace = ours.pace_of(ours.play(load, responder, bench.client_core), PACED_SECONDS)
                    trials.append(pace)
                    say(f"paced, {engine.value}: {report.pace_line(pace)}")
                    if pace.holds or not (pace.disturbed and bench.may_retry(tried)):
                        break
                return pace.holds

            largest = search(holds, most // PACED_STEP) * PACED_STEP
            found[engine.value] = {
                "largest": largest,
                "limit": most,
                "disturbed": any(trial.disturbed and not trial.holds for trial in trials),
                "best": next((asdict(t) for t in trials if t.holds and t.connections == largest), None),
                "trials": [asdict(trial) | {"holds": trial.holds} for trial in trials],
            }
    return found


def search(holds: Callable[[int], bool], most: int) -> int:
    """The largest step up to `most` that holds, if it holds for all smaller ones; 0 if none does."""
    low, high = 0, most + 1
    while high - low > 1:
        step = (low + high) // 2
        low, high = (step, high) if holds(step * PACED_STEP) else (low, step)
    return low


def memory(bench: Bench, engines: Sequence[EngineKind]) -> dict[str, Any]:
    """By engine: the memory of its process per idle connection, in bytes."""
    found = {}
    with bench.serving(ports=SERVER_PORTS) as responder:
        for engine in engines:
            say(f"memory, {engine.value}")
            used = {}
            for connections in (FEW, MANY):
                played = ours.play(ours.idle(engine, responder, connections), responder, bench.client_core)
                if played.seen.open_files < connections or played.seen.window.requests:
                    raise SystemExit(f"not all of the {connections} connections were open and idle")
                used[connections] = played.seen.own_bytes
            found[engine.value] = {
                "bytes_per_connection": (used[MANY] - used[FEW]) / (MANY - FEW),
                "process_bytes": {str(connections): own for connections, own in used.items()},
            }
    return found


def latency(bench: Bench, rounds: int, chosen: Sequence[peers.Peer]) -> dict[str, Any]:
    """By client: the median errors of its reported latency."""
    samples: dict[str, list[LatencyError]] = {}
    with (
        bench.serving() as quick,
        bench.serving(delay_us=DELAY_US) as slow,
        tempfile.TemporaryDirectory(prefix="loadgen-bench-") as directory,
    ):
        for number in range(rounds):
            say(f"latency, round {number + 1} of {rounds}")
            for peer in chosen:
                theirs = partial(their_latency_error, bench, quick, slow, peer, Path(directory))
                samples.setdefault(peer.name, []).append(bench.undisturbed(theirs, doubt)[0])
            for engine in bench.engines:
                ours_now = partial(our_latency_error, bench, quick, slow, engine)
                samples.setdefault(engine.value, []).append(bench.undisturbed(ours_now, doubt)[0])
    return {name: latency_summary(errors) for name, errors in samples.items()}


def doubt(error: LatencyError) -> str:
    return error.doubt(report.DELAY_MS)


def latency_summary(errors: Sequence[LatencyError]) -> dict[str, Any]:
    """Medians of the samples without doubt; if there are none, of all samples, with the reason for the doubt."""
    sure = [one for one in errors if not doubt(one)]
    return {key: median(getattr(one, key) for one in sure or errors) for key in asdict(errors[0])} | {
        "doubt": "" if sure else doubt(errors[-1]),
        "samples": [asdict(one) for one in errors],
    }


def their_latency_error(
    bench: Bench, quick: Responder, slow: Responder, peer: peers.Peer, directory: Path
) -> LatencyError:
    """A peer's latency error at half of its maximum rate.

    The maximum is measured just before, because the core's speed changes.
    """
    core = bench.client_core
    with peers.playing(peer, quick, KB, CONNECTIONS, core, GREATEST_S) as pid:
        meter = Meter(pid, core, quick)
        before = meter.mark()
        time.sleep(GREATEST_S)
        half_per_s = between(before, meter.mark()).requests_per_s / 2
    # A request occupies its connection for about 0.25 ms longer than the responder's delay.
    busy = max(1, round(half_per_s * (DELAY_US / 1e6 + 0.00025)))
    return peers.latency_error(peer, slow, KB, busy, core, max(1, round(bench.seconds)), directory)


def our_latency_error(bench: Bench, quick: Responder, responder: Responder, engine: EngineKind) -> LatencyError:
    """An engine's latency error, measured like a peer's."""
    load = ours.fixed_size(engine, quick, KB, CONNECTIONS, seconds=GREATEST_S, settle_s=peers.SETTLE_S)
    rate_per_s = ours.play(load, quick, bench.client_core).seen.window.requests_per_s / 2
    # Twice as many as are busy on average, so that one is free when an operation is due.
    connections = max(1, round(2 * rate_per_s * DELAY_US / 1e6))
    load = ours.fixed_size(
        engine, responder, KB, connections, seconds=bench.seconds, settle_s=peers.SETTLE_S, rate_per_s=rate_per_s
    )
    played = ours.play(load, responder, bench.client_core)
    true = [percentile_ms(played.seen.truth, q) for q in (50, 99)]
    told = ours.service_ms(played)
    return LatencyError(
        requests_per_s=played.seen.window.requests_per_s,
        client_share=played.seen.window.client_share,
        others=played.seen.window.others,
        true_p50_ms=true[0],
        true_p99_ms=true[1],
        p50_ms=told[0] - true[0],
        p99_ms=told[1] - true[1],
    )


def say(text: str) -> None:
    print(f"· {text}", file=sys.stderr)


def main() -> int:
    """Run the benchmark.  Exit code 0 if every measured target is reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = ("closed", "paced", "memory", "latency")
    parser.add_argument(
        "--quick", action="store_true", help="Run in under 50 s: 1 KB replies only, three rounds, no paced part."
    )
    parser.add_argument("--only", choices=parts, help="Part to run.")
    parser.add_argument("--seconds", type=float, help="Length of a round (default: 2, with --quick 0.8).")
    parser.add_argument(
        "--rounds",
        type=int,
        help="Rounds; two clients alternate for this many times --seconds (default: 5, --quick 3).",
    )
    parser.add_argument("--json", type=Path, help="File to write all figures to.")
    given = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("this benchmark needs two cores: one for the client, one for the server")
    os.sched_setaffinity(0, set(cores[:-1]))  # keep the benchmark itself off the client's core
    chosen = peers.present()
    wanted = {given.only} if given.only else set(parts) - ({"paced"} if given.quick else set())
    if wanted & {"closed", "latency"} and (not chosen or chosen[0].name != report.BASE):
        sys.exit(f"{report.BASE} is not installed; this benchmark compares all clients with it")
    document: dict[str, Any] = {
        "machine": {"kernel": platform.release(), "cores": len(cores), "load": os.getloadavg()},
        "quick": given.quick,
    }
    rounds = given.rounds or (3 if given.quick else 5)
    with tempfile.TemporaryDirectory(prefix="loadgen-bench-") as directory:
        bench = Bench(
            program=build(Path(directory)),
            client_core=cores[-1],
            responder_core=cores[0],
            seconds=given.seconds or (0.8 if given.quick else 2.0),
            rounds=rounds,
            patient_until=time.monotonic() + rounds * (QUICK_PATIENCE_S if given.quick else PATIENCE_S),
        )
        document |= {"seconds": bench.seconds, "rounds": bench.rounds}
        if "closed" in wanted:
            sizes = (KB,) if given.quick else (100, KB, 15 * KB)
            table = closed(bench, sizes, chosen)
            document["closed"] = {str(size): row for size, row in table.items()}
            document["cpu_per_request_vs_wrk"] = report.ratios(table[KB])
        if "paced" in wanted:
            document["paced"] = paced(bench)
        if "memory" in wanted:
            document["memory"] = memory(bench, bench.engines[:1] if given.quick else bench.engines)
        if "latency" in wanted:
            judged = [peer for peer in chosen if peer.name in ("wrk", "ab")]
            document["latency"] = latency(bench, 1 if given.quick else bench.rounds, judged)
    document["targets"] = [asdict(target) for target in report.targets(document)]
    report.show(document)
    if given.json:
        given.json.write_text(json.dumps(document, indent=2) + "\n")
    return 0 if all(target["reached"] for target in document["targets"]) else 1


if __name__ == "__main__":
    raise SystemExit(main())
