"""Plays a test, and plays it once more where only the first attempt can have failed."""

from __future__ import annotations

import asyncio
import contextlib
import time

from loadgen.measure.throughput import ProbeResult
from loadgen.model.address import format_address
from loadgen.model.probe import ProbeTest
from loadgen.model.units import NS_PER_S
from loadgen.probe.api import NotListeningError, OnTick, ProbeError, Stop
from loadgen.probe.client import Client
from loadgen.probe.login import LoginError, Padding, login_of
from loadgen.probe.sockets import check_test

PATIENCE_NS = 10 * NS_PER_S

# A stock iperf3 stops listening for a moment after each test, also after a refused login: it refuses or resets the
# connections of this moment.
_LISTENS_AGAIN_S = 0.5


async def run_test(
    test: ProbeTest,
    host: str,
    port: int,
    *,
    on_tick: OnTick,
    patience_ns: int = PATIENCE_NS,
    stop: Stop | None = None,
) -> ProbeResult:
    """Run `test` against the server at `host`:`port`; `on_tick` is called about once per second.

    A server that does not listen is tried a second time, half a second later.  A stock iperf3 server omits whole
    seconds, so the omitted time is rounded up for it.  Raises ProbeError for faults of the server or the network, and
    PlanError if this machine cannot run the test.  Cancelling ends the test on both sides.  A test that fails or is
    stopped in the middle has a result, which says so (`cut`), if enough is known without the far end's counts.
    """
    check_test(test)
    login, heeded = login_of(test), stop or Stop()

    async def attempt(padding: Padding) -> ProbeResult:
        token = login.token(padding, int(time.time())) if login else ""
        return await _run_once(Client(test, on_tick, patience_ns, heeded, token), host, port)

    async def attempts(padding: Padding) -> ProbeResult:
        with contextlib.suppress(NotListeningError):
            return await attempt(padding)
        await asyncio.sleep(_LISTENS_AGAIN_S)
        return await attempt(padding)

    if login is not None:
        with contextlib.suppress(LoginError):
            return await attempts(Padding.PKCS1)
        await asyncio.sleep(_LISTENS_AGAIN_S)
    return await attempts(Padding.OAEP)


async def _run_once(client: Client, host: str, port: int) -> ProbeResult:
    where = format_address(host, port)
    try:
        try:
            return await client.run(host, port)
        except ProbeError as error:
            if (known := await client.known_alone(f"{where} {error.message}")) is not None:
                return known
            raise
    except ProbeError as error:
        raise type(error)(f"{where} {error.message}", hint=error.hint) from error.__cause__
    finally:
        closing = asyncio.ensure_future(client.close())
        await asyncio.shield(closing)  # also on a second cancellation: threads must not remain
