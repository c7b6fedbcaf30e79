"""What the live page costs the coordinator: CPU with and without 4 pages that are open, and the longest update.

    python benchmarks/live_page.py [VMs] [seconds]

The coordinator is simulated: a spec run with this many VMs whose view changes twice a second, as in a run.  The clients
are processes of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import sys
import time
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from coordinator.output.web.board import Board
from coordinator.output.web.guard import Guard
from coordinator.output.web.listening import Address, listen
from coordinator.output.web.live import page_app
from coordinator.output.web.site import Site
from tests.support.views import run_view

_CLIENTS = 4
_READ = "import sys,urllib.request as u; r=u.urlopen(sys.argv[1])\nwhile r.read1(1 << 20): pass"


async def measured(vms: int, clients: int, seconds: float) -> tuple[float, float, float]:
    """The share of a core that the process used, and the median and the longest time of an update in ms."""
    board = Board(print)
    board.begin("spec")
    listening = listen(Address("--web", "127.0.0.1", 0))
    async with Site(page_app(board, Guard.of(listening, with_token=True)), listening):
        url = f"http://127.0.0.1:{listening.port}/events"
        readers = [await asyncio.create_subprocess_exec(sys.executable, "-c", _READ, url) for _ in range(clients)]
        while board.readers < clients:  # noqa: ASYNC110 - nothing tells when this becomes true
            await asyncio.sleep(0.01)
        base = run_view(vms)
        views = [
            dataclasses.replace(
                base,
                interval=number // 2,
                elapsed_s=number / 2,
                targets=tuple(dataclasses.replace(row, ops_per_s=row.ops_per_s + number) for row in base.targets),
            )
            for number in range(round(2 * seconds))
        ]
        took_ms = []
        began_ns, cpu_ns = time.monotonic_ns(), time.process_time_ns()
        for number, view in enumerate(views):
            await asyncio.sleep(max(0.0, began_ns / 1e9 + number / 2 - time.monotonic()))
            before_ns = time.perf_counter_ns()
            board.update(view)
            took_ms.append((time.perf_counter_ns() - before_ns) / 1e6)
        await asyncio.sleep(0.5)
        share = (time.process_time_ns() - cpu_ns) / (time.monotonic_ns() - began_ns)
        for reader in readers:
            with contextlib.suppress(ProcessLookupError):
                reader.kill()
            await reader.wait()
    listening.socket.close()
    return share, sorted(took_ms)[len(took_ms) // 2], max(took_ms)


def main() -> None:
    vms, seconds = (int(sys.argv[1]) if sys.argv[1:] else 64), (float(sys.argv[2]) if sys.argv[2:] else 15.0)
    print("| VMs | pages | of a core | median update, ms | longest update, ms |")
    for clients in (0, _CLIENTS):
        share, median_ms, longest_ms = uvloop.run(measured(vms, clients, seconds))
        print(f"| {vms} | {clients} | {share:.2%} | {median_ms:.2f} | {longest_ms:.2f} |")


main()
