"""A scripted live view in a terminal, as a process: `python -m tests.support.show_live VMS [--updates N]`.

It shows the view of a run until SIGINT or SIGTERM, and then prints `over`.  With `--updates`, the view is updated so
often only: what is drawn later is drawn for keys and signals.  With `--fail-after N`, an exception ends it then.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import sys

import uvloop

from coordinator.output.stderr import patient_console
from coordinator.output.streams import accept_all_text, open_missing_streams
from coordinator.output.terminal.screen import open_view
from coordinator.run.interrupts import until_signalled
from tests.support.views import run_view

EVERY_S = 0.2
LONGEST_S = 180  # a test that failed must not leave it running for ever


async def show(vms: int, updates: int, fail_after: int) -> None:
    base = run_view(vms, failing=(vms // 2,))
    async with until_signalled() as signalled:
        with patient_console() as console, open_view(console) as view:
            count = 0
            end_s = asyncio.get_running_loop().time() + LONGEST_S
            while not signalled.is_set() and asyncio.get_running_loop().time() < end_s:
                if count < updates:
                    view.update(dataclasses.replace(base, interval=count // 5, title=f"update {count}"))
                    count += 1
                if count == fail_after:
                    raise RuntimeError("the view failed")
                try:
                    await asyncio.wait_for(signalled.wait(), EVERY_S)
                except TimeoutError:
                    continue
    sys.stdout.write("over\n")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("vms", type=int)
    parser.add_argument("--updates", type=int, default=10**9)
    parser.add_argument("--fail-after", type=int, default=-1)
    asked = parser.parse_args()
    open_missing_streams()
    accept_all_text()
    uvloop.run(show(asked.vms, asked.updates, asked.fail_after))


if __name__ == "__main__":
    main()
