"""The agent on a load machine, as a plugin of its Dask worker.  It never runs as a Dask task."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import dask
from distributed import Worker, WorkerPlugin

from loadgen.agent import facts
from loadgen.agent import spool as spools
from loadgen.agent.duty import Duty
from loadgen.agent.engines import Agent
from loadgen.agent.heart import CHUNK_BYTES
from loadgen.agent.logtail import LogTail
from loadgen.model.errors import FleetError

RENEW, STOP = "loadgen-renew", "loadgen-stop"
"""Messages of the scheduler without an answer: they do what `renew` and `stop` of loadgen.agent.dask.calls do.

Both have the field `run_id`.  A renewal also has `sent_ns` (when it was sent, in the coordinator's clock) and `lease`
(the end of the lease in this machine's clock, and how many bytes of the spool were received).  A stop also has
`segment`, the last segment that it stops.
"""

_NAME = "loadgen-agent"
_LOGGERS = ("asyncio", "distributed", "tornado")
_MIN_FREE_BYTES = 1 << 20
_KEPT_BYTES = 64 << 20
"""How much of our heartbeats the scheduler may keep in memory."""


class AgentPlugin(WorkerPlugin):
    """The agent of one Dask worker.  It serves one run at a time.

    An agent that joined our own scheduler serves any run.  In a cluster of the user, each coordinator registers a
    plugin for its own `run_id`, so that it can remove it without harm to others.  `spool` is the directory for spools;
    "" means the usual one.  `cores` is the number of engines, whatever the coordinator wants; 0 leaves it to the
    coordinator.  `make_agent` makes an Agent, or a double of it, with which benchmarks simulate many machines in one
    process.
    """

    idempotent = True

    def __init__(
        self, run_id: str = "", *, spool: str = "", cores: int = 0, make_agent: Callable[..., Agent] = Agent
    ) -> None:
        self.name = f"{_NAME}-{run_id}" if run_id else _NAME
        self._spool = spool
        self._cores = cores
        self._make_agent = make_agent

    def setup(self, worker: Worker) -> None:
        """Begin to listen.  No engine is started before a coordinator says hello."""
        self._worker = worker
        self._log = LogTail()
        self._leaving = asyncio.Event()
        self._duty: Duty | None = None
        self._greeting = ""  # the run whose hello is being handled
        for name in _LOGGERS:
            logging.getLogger(name).addHandler(self._log)
        logging.getLogger("distributed.worker").addFilter(_is_no_renewal)
        if self.name == _NAME:  # in a user's cluster there may be several plugins, and no messages are posted
            worker.stream_handlers[RENEW] = self._on_renew
            worker.stream_handlers[STOP] = self._on_stop

    async def teardown(self, worker: Worker) -> None:
        """End with the worker: traffic stops at once, the engines end within 2 s, and the spool is kept."""
        self._leaving.set()
        if self._duty is not None:
            await self._duty.end()
        for name in _LOGGERS:
            logging.getLogger(name).removeHandler(self._log)
        logging.getLogger("distributed.worker").removeFilter(_is_no_renewal)

    async def wait_leaving(self) -> None:
        """Wait until the worker begins to end."""
        await self._leaving.wait()

    @property
    def busy_with(self) -> str:
        """The run that is served; empty if there is none."""
        if self._duty is not None and not self._duty.is_over:
            return self._duty.run_id
        return self._greeting

    def serves(self, run_id: str) -> Duty | None:
        """Return the duty for a run; None if this machine does not serve that run."""
        return self._duty if self._duty is not None and self._duty.run_id == run_id else None

    def spool_directory(self, asked: str) -> Path:
        """Return the directory for spools that was asked for, or the machine's own choice for ""."""
        chosen = asked or self._spool
        return Path(chosen).expanduser() if chosen else spools.default_directory(os.environ)

    async def hello(
        self, run_id: str, name: str, engines: int, versions: Mapping[str, str], spool: str
    ) -> dict[str, Any]:
        """Become machine `name` of a run with `engines` engines (0: one for each core).

        Returns the description of the machine.  Raises FleetError with the reason if it cannot serve.
        """
        facts.compare_versions(facts.versions(), versions)
        self._greeting = run_id
        try:
            if self._duty is not None:
                await self._duty.end()  # the coordinator of that run has ended
            directory = self.spool_directory(spool)
            made = await asyncio.to_thread(_make_spool, directory, run_id, name)
            workers = [f"{name}/{i}" for i in range(self._cores or engines or facts.usable_cores())]
            duty = Duty(
                run_id,
                name,
                workers,
                spool=made,
                send=lambda beat: self._worker.log_event(f"loadgen-{run_id}", beat),
                log=self._log,
                chunk_bytes=_chunk_bytes(),
                make_agent=self._make_agent,
            )
            try:
                await duty.open()
                if self._leaving.is_set():
                    raise FleetError("its agent is ending")
            except BaseException:
                await duty.end(delete_spool=True)
                raise
            self._duty = duty
        finally:
            self._greeting = ""
        return {
            **await asyncio.to_thread(facts.describe),
            "workers": workers,
            "spool": str(directory),
            "spool_free_bytes": spools.free_bytes(directory),
            "at_ns": time.monotonic_ns(),
        }

    def _on_renew(self, run_id: str, sent_ns: int, lease: tuple[int, int]) -> None:
        if (duty := self.serves(run_id)) is not None:
            duty.hear(sent_ns)
            duty.renew(*lease)

    def _on_stop(self, run_id: str, segment: int) -> None:
        if (duty := self.serves(run_id)) is not None:
            duty.stop(segment)

    async def leave(self, *, delete_spool: bool) -> None:
        """End the run on this machine, which is idle afterwards."""
        if self._duty is not None:
            await self._duty.end(delete_spool=delete_spool)
            self._duty = None


def agents_of(worker: Worker) -> list[AgentPlugin]:
    """Return all agents on a worker.  There are several if several coordinators use the user's cluster."""
    return [plugin for plugin in worker.plugins.values() if isinstance(plugin, AgentPlugin)]


def agent_for(worker: Worker, run_id: str) -> AgentPlugin:
    """Return the agent for a new run.  Raises FleetError if the machine is busy or has no agent."""
    agents = agents_of(worker)
    for agent in agents:
        if agent.busy_with:
            raise FleetError(f"it is busy with run {agent.busy_with}", hint="wait until that run has ended, or stop it")
    for agent in agents:
        if agent.name in (_NAME, f"{_NAME}-{run_id}"):
            return agent
    raise FleetError("this Dask worker has no agent of loadgen")


def _make_spool(directory: Path, run_id: str, name: str) -> spools.Spool:
    made = spools.Spool(spools.spool_path(directory, run_id, name))
    try:
        free = spools.free_bytes(directory)
    except OSError as error:
        made.close(delete=True)
        raise FleetError(f"its spool directory {directory} cannot be read: {error.strerror}") from error
    if free < _MIN_FREE_BYTES:
        made.close(delete=True)
        raise FleetError(
            f"it has only {free} bytes free for its spool in {directory}",
            hint="make room there, or choose another directory for the spool",
        )
    spools.prune(directory, time.time_ns())
    return made


def _chunk_bytes() -> int:
    """Return the size of chunks.  A scheduler of the user may keep a thousand of our heartbeats in memory."""
    return min(CHUNK_BYTES, _KEPT_BYTES // max(1, int(dask.config.get("distributed.admin.low-level-log-length"))))


def _is_no_renewal(record: logging.LogRecord) -> bool:
    """Filter out the line that Dask logs for each renewal: two per second would bury the user's own lines."""
    return record.args != ("renew",)
