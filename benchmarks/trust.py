"""Measures how often a verdict is wrong: known set-ups, good and bad, each played several times.

The load generator has one core, the servers have another.  benchmarks/trust_setups.py lists the set-ups with the right
answer beside each.  In a good set-up the figures can be trusted, whatever the servers do; in a bad one they cannot, so
INVALID (exit code 3) is right.

 false alarm    INVALID in a good set-up
 miss           a verdict on the servers in a bad set-up
 wrong verdict  any other wrong verdict, or a run that failed
 wrong reason   the right verdict, but the check that must fail holds, or the report does not say what it must say

    python benchmarks/trust.py [--repeats 3] [--seconds 3] [--engines compiled,python] [--only TEXT] [--json FILE]

Prints the table of benchmarks/RESULTS.md.  Exit code 1 when an answer was wrong.  Needs two cores; root and iproute2
for the networks, and control groups for the CPU quota: set-ups that cannot be made are skipped, with the reason.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # when run as a script

from benchmarks.engine_responder import build
from benchmarks.trust_judging import Row, Trial, all_right, summary, table, wrong
from benchmarks.trust_places import ImpossibleError
from benchmarks.trust_playing import Setup, play
from benchmarks.trust_setups import SETUPS
from loadgen.engine.choice import available


def main() -> int:
    """Run the benchmark.  Exit code 0 when no answer was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3, help="Trials of each set-up.")
    parser.add_argument("--seconds", type=float, default=3.0, help="Length of the measured window.")
    parser.add_argument(
        "--engines",
        default=",".join(kind.value for kind in available()),
        help="Engines to measure, separated by commas.",
    )
    parser.add_argument("--only", default="", help="Only set-ups whose names match this regular expression.")
    parser.add_argument("--json", type=Path, help="File to write all trials to.")
    parser.add_argument("--list", action="store_true", help="Print the set-ups with their right answers; play none.")
    options = parser.parse_args()
    setups = [setup for setup in SETUPS if re.search(options.only, setup.title)]
    if options.list:
        for setup in setups:
            print(f"{setup.title}: {' or '.join(setup.right.verdicts)}. {setup.right.why}")
        return 0
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("this benchmark needs two cores: one for the load generator, one for the servers")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that everything is cleaned up
    interrupted = False
    trials: list[Trial] = []
    skipped: dict[str, str] = {}
    try:
        for _ in range(options.repeats):
            _round(setups, options.engines.split(","), (cores[1], cores[0]), options.seconds, trials, skipped)
    except KeyboardInterrupt:
        interrupted = True
    rows = _rows(setups, trials)
    if rows:
        print(f"{table(rows)}\n\n{summary(rows)}")
    for title, reason in skipped.items():
        print(f"Skipped: {title}: {reason}")
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in trials], indent=2) + "\n")
    if interrupted:
        print("Interrupted: this is not the whole benchmark.")
        return 130
    return 0 if all_right(rows) else 1


def _round(
    setups: Sequence[Setup],
    engines: Sequence[str],
    cores: tuple[int, int],
    seconds: float,
    trials: list[Trial],
    skipped: dict[str, str],
) -> None:
    """Play each set-up once with each engine; adds to `trials` and `skipped`."""
    with tempfile.TemporaryDirectory() as scratch:
        program = build(Path(scratch))
        for setup in setups:
            for engine in setup.engines(engines):
                if setup.title in skipped:
                    continue
                try:
                    trial = play(setup, engine, program, cores, seconds)
                except ImpossibleError as reason:
                    skipped[setup.title] = str(reason)
                    continue
                trials.append(trial)
                kind = wrong(setup.right, trial)
                note = f"  {kind.value.upper()}: {trial.text}" if kind else ""
                print(f"· {setup.title}, {engine}: {trial.verdict}{note}", file=sys.stderr, flush=True)


def _rows(setups: Sequence[Setup], trials: Sequence[Trial]) -> list[Row]:
    rows = []
    for setup in setups:
        mine = [one for one in trials if one.setup == setup.title]
        rows += [
            Row(setup.title, setup.right, [one for one in mine if one.engine == engine])
            for engine in dict.fromkeys(one.engine for one in mine)
        ]
    return rows


if __name__ == "__main__":
    sys.exit(main())
