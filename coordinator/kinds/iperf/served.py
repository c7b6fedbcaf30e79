"""`loadgen iperf --server`: a probe server in this process, which runs until a signal."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable

from coordinator.output.stdout import UnreadError
from coordinator.run.interrupts import unless, until_signalled
from loadgen.model.address import format_address
from loadgen.probe.api import ServedTest, ServerCounters
from loadgen.probe.server import ProbeServer

PATIENCE_S = 1.0
"""How long the end waits for the reader of the lines after a signal."""


async def serve_tests(
    host: str, port: int, *, tests: int | None, say: Callable[[str], None], tell: Callable[[str], Awaitable[None]]
) -> None:
    """Serve all clients until a signal, or until `tests` of them were served (None: any number).

    `say` is called with the address; `tell` is called with a line for each finished test, and with the counters at the
    end.  While `tell` waits for its reader, tests go on.
    Raises PlanError when the server cannot listen at the address, any error that `tell` raises, and UnreadError when a
    signal comes and `tell` still waits.
    """
    lines: asyncio.Queue[str] = asyncio.Queue()
    # Lines are printed here, not in the server: an error while printing is not an error of a test.
    server = ProbeServer(on_served=lambda test: lines.put_nowait(test_line(test)))
    async with until_signalled() as signalled:
        port = await server.open(host, port)
        say(f"iperf3's protocol is served on {format_address(host, port)}  (Ctrl-C ends it)")
        try:
            await unless(signalled.wait(), _tell_served(lines, tests, tell))
        finally:
            await server.close()
        lines.put_nowait(counters_line(server.counters))
        if not await unless(_patience(signalled), _tell_served(lines, lines.qsize(), tell)):
            raise UnreadError("interrupted before stdout took all lines: nobody reads it")


async def _patience(signalled: asyncio.Event) -> None:
    await signalled.wait()
    await asyncio.sleep(PATIENCE_S)


async def _tell_served(lines: asyncio.Queue[str], number: int | None, tell: Callable[[str], Awaitable[None]]) -> None:
    """Tell this number of lines (None: all that come)."""
    while number != 0:
        await tell(await lines.get())
        number = None if number is None else number - 1


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
