"""Loses one of two load machines in every way that users have met, and looks at how the run ends.

Each of {SIGKILL, SIGSTOP, link down, disk full, wall clock set, clock leapt} hits a machine of {--hosts, --listen,
--scheduler} in {arming, ramp-up, window, ramp-down, closing}: 90 runs.  Each fault is also played in each phase with
`--on-loss abort`, with the ways in turn: 30 runs.  In 30 more, the coordinator is killed, or stopped for 5 s.  Needs
root, for network namespaces.

    python -m benchmarks.fleet_losses [--at-once 4] [--only "SIGSTOP listen"] [--seed N --sample 12] [--keep DIRECTORY]
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import queue
import random
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from loadgen.model.errors import ExitCode
from tests.support.fleet_runs import Servers
from tests.support.losses import FAULTS, KILLED, PHASES, STOPPED, WAYS, Ended, Loss, Losses, make
from tests.support.machines import REASON
from workloads.specweb99 import files, fileset


def matrix() -> list[Loss]:
    """Return the 150 cells."""
    cells = [Loss(*one) for one in itertools.product((*FAULTS, KILLED, STOPPED), WAYS, PHASES)]
    turns = itertools.cycle(WAYS)
    return cells + [Loss(fault, next(turns), phase, abort=True) for fault in FAULTS for phase in PHASES]


def play(cells: Sequence[Loss], lanes: int, directory: Path) -> list[Ended]:
    """Play all cells on `lanes` pairs of machines, and report each as it ends."""
    waiting: queue.SimpleQueue[Loss] = queue.SimpleQueue()
    for cell in cells:
        waiting.put(cell)
    root = fileset.ensure(directory / "files", files.directories(4), lambda done, total: None).root
    lanes = min(lanes, len(cells))
    ended: list[Ended] = []
    with make(directory, lanes) as machines:
        servers = Servers(machines, directory, root, -(-len(cells) // 8))

        def lane(number: int) -> None:
            own = directory / f"lane-{number}"
            own.mkdir()
            losses = Losses(machines, servers, own, number)
            with contextlib.suppress(queue.Empty):
                while True:
                    one = losses.play(waiting.get_nowait())
                    ended.append(one)
                    report(one, len(ended), len(cells))

        with ThreadPoolExecutor(lanes) as pool:
            for done in [pool.submit(lane, number) for number in range(lanes)]:
                done.result()
    return ended


def report(one: Ended, number: int, of: int) -> None:
    """Print one line, and what is wrong."""
    print(
        f"{number:3}/{of} {one.loss!s:38} {one.code:3} {one.verdict:14} {one.took_s:5.1f} s after the fault", flush=True
    )
    for what in one.wrong:
        print(f"        WRONG: {what}", flush=True)


def table(ended: Sequence[Ended]) -> None:
    """Print how many runs ended well, by fault and phase."""
    print(f"\n{'runs that ended as they must':28}", *(f"{phase:>10}" for phase in PHASES))
    for fault in (*FAULTS, KILLED, STOPPED):
        cells = []
        for phase in PHASES:
            these = [one for one in ended if (one.loss.fault, one.loss.phase) == (fault, phase)]
            cells.append(f"{sum(not one.wrong for one in these)} of {len(these)}" if these else "-")
        print(f"{fault:28}", *(f"{cell:>10}" for cell in cells))


def main() -> int:
    """Run the benchmark.  Exit code 0 when every run ended as it must."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--at-once", type=int, default=4, help="Runs at the same time.")
    parser.add_argument("--only", default="", help="Cells whose name has all of these words.")
    parser.add_argument("--sample", type=int, default=0, help="Number of cells, drawn at random; 0 means all.")
    parser.add_argument("--seed", type=int, default=1, help="Seed of the sample and of the order.")
    parser.add_argument("--keep", type=Path, help="A new directory for the records and what the runs printed.")
    options = parser.parse_args()
    if REASON:
        print(f"no machines can be made: {REASON}", file=sys.stderr)
        return ExitCode.USAGE
    cells = [cell for cell in matrix() if set(options.only.split()) <= set(str(cell).split())]
    random.Random(options.seed).shuffle(cells)
    cells = cells[: options.sample or None]
    with contextlib.ExitStack() as stack:
        directory = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        directory.mkdir(exist_ok=True)
        ended = play(cells, options.at_once, directory)
        if options.keep:
            for number, one in enumerate(ended):
                (directory / f"{number:03}-{str(one.loss).replace(' ', '-')}.txt").write_text(f"{one.out}\n{one.err}")
    table(ended)
    bad = sum(bool(one.wrong) for one in ended)
    codes = {code: sum(one.code == code for one in ended) for code in sorted({one.code for one in ended})}
    print(f"\n{len(ended) - bad} of {len(cells)} runs ended as they must; exit codes: {codes}")
    return 1 if bad or len(ended) < len(cells) else 0


if __name__ == "__main__":
    sys.exit(main())
