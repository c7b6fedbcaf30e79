"""Makes this process an agent: a Dask worker of the coordinator's scheduler, until one of them ends."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import math
import os
import tempfile
import time
from collections.abc import Callable
from typing import Any

from distributed import Security, Worker
from distributed.comm.addressing import get_address_host
from distributed.comm.core import connect

from loadgen.agent.bootstrap import PATIENCE_S
from loadgen.agent.dask.plugin import AgentPlugin
from loadgen.agent.dask.settings import configure
from loadgen.agent.peer import Ours, Problem, find_problem
from loadgen.host.limits import raise_open_files
from loadgen.model.address import format_address, parse_address
from loadgen.model.errors import FleetError, PlanError
from loadgen.model.port_range import PortRange

_TRY_S = 5.0
_AGAIN_S = 0.5
_REGISTER_S = 10.0
_CLOSE_S = 2.0
_HEARTBEAT_S = 10.0
_MEMORY_DIRECTORY = "/dev/shm"


class AgentWorker(Worker):
    """A Dask worker that sends Dask's own heartbeats rarely, because each is a call to the scheduler.

    The coordinator watches our heartbeats instead.  A scheduler wants one of Dask's each 0.5 to 2 s, and gives up a
    worker that sends none for 5 minutes (settings).
    """

    _sent_s = -math.inf

    async def heartbeat(self) -> None:
        """Send Dask's heartbeat, at most once in 10 s, however often the scheduler asks for it."""
        now_s = time.monotonic()
        if now_s - self._sent_s >= _HEARTBEAT_S:
            self._sent_s = now_s
            await super().heartbeat()


async def be_agent(
    scheduler_address: str,
    *,
    name: str,
    bind: str,
    security: Security,
    until: asyncio.Event,
    spool: str = "",
    cores: int = 0,
    patience_s: float = PATIENCE_S,
    ports: PortRange | None = None,
    dates: str = "",
    say: Callable[[str], None] = lambda text: None,
) -> None:
    """Run as machine `name` of the coordinator with that scheduler, until the scheduler ends or `until` is set.

    It listens at address `bind`; "" means the address from which it reaches the coordinator.  `ports` are the ports
    that it may use; None means any.  It waits for the coordinator for up to `patience_s`; `say` gets the reason why it
    waits.  `dates` are those of its certificate, for messages.  `spool` and `cores` are as for AgentPlugin.

    When this returns, traffic has ended, at most 2 s after `until` was set or the coordinator ended, whatever hangs.
    Only a coordinator that ends while this agent is joining is noticed up to 10 s later.
    Raises FleetError if the coordinator cannot be reached, or refuses this agent.
    """
    configure()
    _take_over_logs()
    raise_open_files()
    stopping = asyncio.create_task(until.wait())
    context = security.get_connection_args("worker").get("ssl_context")  # type: ignore[no-untyped-call]
    ours = Ours(context if scheduler_address.startswith("tls") else None, dates)
    try:
        reaching = asyncio.create_task(_reach(scheduler_address, ours, security, patience_s, say))
        if not await _was_first(reaching, stopping):
            return
        plugin = AgentPlugin(spool=spool, cores=cores)
        worker = _make_worker(scheduler_address, name, bind or reaching.result(), ports, security, plugin)
        try:
            registering = asyncio.create_task(_register(worker, name, scheduler_address, bind, ports))
            if await _was_first(registering, stopping):
                await _was_first(asyncio.create_task(plugin.wait_leaving()), stopping)
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_S):
                    await worker.close(timeout=_CLOSE_S / 4, reason="loadgen-agent-ends")
    finally:
        stopping.cancel()


async def _was_first(doing: asyncio.Task[Any], stopping: asyncio.Task[bool]) -> bool:
    """Return whether `doing` ends before `stopping`; otherwise cancel it.  Raises what `doing` raises."""
    try:
        await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            await doing
            return True
        return False
    finally:
        doing.cancel()
        await asyncio.gather(doing, return_exceptions=True)


async def _reach(address: str, ours: Ours, security: Security, patience_s: float, say: Callable[[str], None]) -> str:
    """Wait until the coordinator answers with a certificate of the same run.  Returns our own address towards it.

    Dask itself would try for ever without a message.  `say` gets the reason for waiting whenever it changes.
    """
    arguments = security.get_connection_args("worker")  # type: ignore[no-untyped-call]
    try:
        host, port = parse_address(address.partition("://")[2])
    except PlanError as error:
        raise FleetError(f"{address} is not the address of a coordinator: {error.message}") from error
    give_up = time.monotonic() + patience_s
    told = ""
    while True:
        left_s = give_up - time.monotonic()
        timeout_s = max(0.1, min(left_s, _TRY_S))
        can_look = ours.context is not None or not address.startswith("tls")  # otherwise Dask says what is missing
        problem = await find_problem(host, port, ours, timeout_s) if can_look else None
        if problem is None:
            try:
                comm = await connect(address, timeout=timeout_s, **arguments)  # type: ignore[no-untyped-call]
            except (OSError, ValueError) as error:
                problem = Problem(str(error))
            except TypeError as error:  # Dask raises this if encryption is required
                raise FleetError(f"the coordinator at {address} requires a certificate") from error
            else:
                own = str(get_address_host(comm.local_address))
                comm.abort()
                return own
        if problem.final:
            raise FleetError(f"the coordinator at {address} cannot be joined: {problem.text}", hint=problem.hint)
        if left_s <= _AGAIN_S:
            raise FleetError(
                f"no coordinator at {address} answers within {patience_s:g} s: {problem.text}",
                hint="check that it runs, and that the certificate belongs to its run",
            )
        if problem.text != told:
            say(f"waiting for the coordinator at {format_address(host, port)}: {problem.text}")
            told = problem.text
        await asyncio.sleep(_AGAIN_S)


def _make_worker(
    address: str, name: str, host: str, ports: PortRange | None, security: Security, plugin: AgentPlugin
) -> Worker:
    try:
        return AgentWorker(
            address,
            name=name,
            host=f"[{host}]" if ":" in host else host,
            port=f"{ports.first}:{ports.last}" if ports is not None else 0,
            nthreads=1,
            memory_limit=0,
            security=security,
            dashboard_address="127.0.0.1:0",
            dashboard=False,
            death_timeout=_REGISTER_S,
            local_directory=_scratch(),
            plugins=(plugin,),
        )
    except OSError as error:
        raise FleetError(f"{name} cannot create its working directory: {error.strerror or error}") from error


async def _register(worker: Worker, name: str, address: str, bind: str, ports: PortRange | None) -> None:
    try:
        await worker
    except (TimeoutError, RuntimeError, OSError, ValueError) as error:  # Dask wraps the cause in a RuntimeError
        why = error.__cause__ or error
        if ports is not None and "Could not start" in str(why):  # the words of Dask's worker
            raise FleetError(
                f"{name} cannot listen at any of the ports {ports}: all are in use", hint="give a larger range"
            ) from error
        if isinstance(why, OSError) and why.errno == errno.EADDRNOTAVAIL:
            raise FleetError(f"{name} cannot listen at {bind}, which is not an address of this machine") from error
        if "name taken" in str(why):  # the words of Dask's scheduler
            raise FleetError(
                f"a worker named {name} has joined already", hint="choose another name with --name"
            ) from error
        raise FleetError(f"{name} cannot join the coordinator at {address}: {why}") from error


def _scratch() -> str:
    """Return the working directory for Dask, which stays empty: in memory, so that the disk is not touched."""
    return _MEMORY_DIRECTORY if os.access(_MEMORY_DIRECTORY, os.W_OK) else tempfile.gettempdir()


def _take_over_logs() -> None:
    """Keep Dask's warnings off stderr; they go to the coordinator (loadgen.agent.logtail)."""
    for name in ("distributed", *(n for n in logging.root.manager.loggerDict if n.startswith("distributed."))):
        logger = logging.getLogger(name)
        logger.handlers = [one for one in logger.handlers if type(one) is not logging.StreamHandler]
    logging.getLogger("distributed").setLevel(logging.WARNING)
