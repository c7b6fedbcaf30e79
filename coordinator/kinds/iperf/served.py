"""`loadgen iperf --server`: a probe server in this process, which runs until a signal."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable

from coordinator.run.interrupts import until_signalled
from loadgen.model.address import format_address
from loadgen.probe.api import ServedTest, ServerCounters
from loadgen.probe.server import ProbeServer

Say = Callable[[str], None]


async def serve_tests(host: str, port: int, *, tests: int | None, say: Say, tell: Say) -> None:
    """Serve all clients until a signal, or until `tests` of them were served (None: any number).

    `say` is called with the address; `tell` is called with a line for each finished test, and with the counters at the
    end.  Raises PlanError when the server cannot listen at the address, and any error that `tell` raises.
    """
    lines: asyncio.Queue[str] = asyncio.Queue()
    # Lines are printed here, not in the server: an error while printing is not an error of a test.
    server = ProbeServer(on_served=lambda test: lines.put_nowait(test_line(test)))
    async with until_signalled() as signalled:
        port = await server.open(host, port)
        say(f"iperf3's protocol is served on {format_address(host, port)}  (Ctrl-C ends it)")
        ending = asyncio.create_task(signalled.wait())
        try:
            while not ending.done() and tests != 0:
                line = asyncio.create_task(lines.get())
                await asyncio.wait((ending, line), return_when=asyncio.FIRST_COMPLETED)
                if line.done():
                    tell(line.result())
                    tests = None if tests is None else tests - 1
                else:
                    line.cancel()
        finally:
            ending.cancel()
            await server.close()
        while not lines.empty():
            tell(lines.get_nowait())
        tell(counters_line(server.counters))


def test_line(test: ServedTest) -> str:
    """Return a line about a test: its client, its parameters and its result."""
    seconds = test.seconds or 1.0
    rates = [
        f"{word} {size * 8e-6 / seconds:,.1f} Mbit/s"
        for word, size in (("sent", test.sent_bytes), ("received", test.received_bytes))
        if size
    ]
    cpu = f"CPU {test.cpu_seconds:.2f} s"
    return "  ".join([test.client, test.what, f"{test.seconds:.1f} s", *rates, cpu, test.ended])


def counters_line(counters: ServerCounters) -> str:
    """Return a line with all counters by name."""
    return " ".join(f"{name}={value}" for name, value in dataclasses.asdict(counters).items())
