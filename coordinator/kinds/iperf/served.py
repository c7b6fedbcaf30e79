"""`loadgen iperf --server`: a probe server in this process, until a signal."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable

from coordinator.run.interrupts import until_signalled
from loadgen.model.address import format_address
from loadgen.probe.api import ServedTest, ServerCounters
from loadgen.probe.server import ProbeServer

Say = Callable[[str], None]


async def serve_tests(host: str, port: int, *, say: Say, tell: Say) -> None:
    """Serve all who come.  `say` is told where; `tell` of each test that has ended, and at the end what was counted.

    Raises PlanError when it cannot listen there, and whatever `tell` raises.
    """
    lines: asyncio.Queue[str] = asyncio.Queue()
    # A line is told from here, not from within the server: what cannot be printed is no fault of a test.
    server = ProbeServer(on_served=lambda test: lines.put_nowait(test_line(test)))
    async with until_signalled() as signalled:
        port = await server.open(host, port)
        say(f"iperf3's protocol is served on {format_address(host, port)}  (Ctrl-C ends it)")
        ending = asyncio.create_task(signalled.wait())
        try:
            while not ending.done():
                line = asyncio.create_task(lines.get())
                await asyncio.wait((ending, line), return_when=asyncio.FIRST_COMPLETED)
                if line.done():
                    tell(line.result())
                else:
                    line.cancel()
        finally:
            ending.cancel()
            await server.close()
        while not lines.empty():
            tell(lines.get_nowait())
        tell(counters_line(server.counters))


def test_line(test: ServedTest) -> str:
    """Who, what, and what came of it."""
    seconds = test.seconds or 1.0
    rates = [
        f"{word} {size * 8e-6 / seconds:,.1f} Mbit/s"
        for word, size in (("sent", test.sent_bytes), ("received", test.received_bytes))
        if size
    ]
    cpu = f"CPU {test.cpu_seconds:.2f} s"
    return "  ".join([test.client, test.what, f"{test.seconds:.1f} s", *rates, cpu, test.ended])


def counters_line(counters: ServerCounters) -> str:
    """All of them, by name."""
    return " ".join(f"{name}={value}" for name, value in dataclasses.asdict(counters).items())
