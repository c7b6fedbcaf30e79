"""What the live view costs the coordinator: `python benchmarks/view.py [--vms N]`.

Two engines report each second for N VMs with 5 connections each.  The view is updated twice a second, as in a run, on a
terminal of 200 x 50.  Only the thread that makes and draws the view is counted; nothing else runs in it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import pty
import struct
import termios
import threading
import time
from fcntl import ioctl

import numpy as np
from rich.console import Console

from coordinator.output.terminal.build import ViewBuilder
from coordinator.output.terminal.runview import Position
from coordinator.output.terminal.screen import open_view
from loadgen.measure.ledger import Ledger
from loadgen.model.plan import SpecPlan
from loadgen.model.target import Target
from loadgen.schedule.placement import Placement
from tests.support.snapshots import GROUPS, KINDS, cell, snapshot, tally

CONNECTIONS = 5
ENGINES = ("local/0", "local/1")
SECONDS = 60


def fill(ledger: Ledger, vms: int, interval: int) -> None:
    """File what both engines measured in a second: each played half of the connections of every VM."""
    for engine, name in enumerate(ENGINES):
        cells = {(0, vm): cell(8 + (vm + interval) % 5, received=60_000, response_ms=5 + vm % 50) for vm in range(vms)}
        mine = range(engine, vms * CONNECTIONS, len(ENGINES))
        ledger.receive(snapshot(name, interval, cells, tuple(tally(0, number) for number in mine)))


def drain(master: int) -> None:
    with contextlib.suppress(OSError):
        while os.read(master, 1 << 16):
            pass


async def measure(vms: int) -> None:
    master, slave = pty.openpty()
    ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
    threading.Thread(target=drain, args=(master,), daemon=True).start()
    targets = [Target(name=f"vm{n:04}", host="127.0.0.1", port=20_000 + n) for n in range(vms)]
    placement = Placement(ENGINES, np.arange(vms * CONNECTIONS, dtype=np.int32) % len(ENGINES))
    builder = ViewBuilder(SpecPlan(vms=vms, connections=CONNECTIONS), targets, placement, title="loadgen spec")
    ledger = Ledger(ENGINES, KINDS, GROUPS)
    console = Console(file=os.fdopen(slave, "w"), force_terminal=True, _environ={"TERM": "xterm-256color"})
    build_ns = draw_ns = 0
    with open_view(console) as view:
        for second in range(SECONDS):
            fill(ledger, vms, second)
            for part in range(2):
                began_ns = time.thread_time_ns()
                at = Position(
                    phase="measuring", iteration=0, iterations=1, phase_elapsed_s=second, phase_length_s=SECONDS,
                    elapsed_s=second + part / 2, total_s=SECONDS,
                )  # fmt: skip
                shown = builder.build(ledger, at)
                built_ns = time.thread_time_ns()
                view.update(shown)
                build_ns += built_ns - began_ns
                draw_ns += time.thread_time_ns() - built_ns
    print(f"{vms} VMs, {SECONDS} s: making the view {build_ns / 1e9:.2f} s CPU, drawing it {draw_ns / 1e9:.2f} s CPU")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vms", type=int, default=1024)
    asyncio.run(measure(parser.parse_args().vms))


if __name__ == "__main__":
    main()
