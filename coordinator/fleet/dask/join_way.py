"""The manual way: the user starts workers, with certificates made before, and the workers join the coordinator."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from coordinator.fleet.dask.hub import Hub
from coordinator.fleet.listening import find_meeting
from coordinator.fleet.ways import Joined, Line
from loadgen.agent.credentials import load
from loadgen.model.address import format_address

_PATIENCE_S = 600.0
_LOOK_S = 1.0


class JoinWay:
    """The first `workers` that join at `host` and `port`, with certificates from the directory `certificates`.

    `say` receives progress messages for the person who starts the workers.
    """

    def __init__(self, host: str, port: int, certificates: Path, workers: int, say: Callable[[str], None]) -> None:
        self._host = host
        self._port = port
        self._certificates = certificates
        self._workers = workers
        self._say = say
        self._missing: dict[str, str] = {}
        self._hub: Hub | None = None

    @property
    def line(self) -> Line:
        """The line to the agents, once this way is open; see Way."""
        assert self._hub is not None, "the way is not open"
        return self._hub

    @property
    def missing(self) -> Mapping[str, str]:
        """Workers that did not join in time; their names are not known, so they are numbered."""
        return self._missing

    async def open(self) -> tuple[Joined, ...]:
        """Listen, and wait up to ten minutes for all workers.  Raises PlanError if this machine cannot listen there."""
        meeting = await asyncio.to_thread(find_meeting, self._host, self._port)
        hub = Hub(meeting.addresses, meeting.port, load(self._certificates / "coordinator.pem"))
        self._hub = await hub.__aenter__()
        port = int(hub.contact(meeting.addresses[0]).rpartition(":")[2])
        start = f"loadgen worker --join {format_address(meeting.shown, port)} --cert {self._certificates}/worker-N.pem"
        if meeting.warning:
            self._say(meeting.warning)
        where = " and ".join(format_address(address, port) for address in meeting.addresses)
        workers = f"{self._workers} worker{'' if self._workers == 1 else 's'}"
        self._say(f"waiting for {workers} at {where}; start each one with a certificate of its own: {start}")
        present = await self._wait(hub)
        for number in range(len(present), self._workers):
            self._missing[f"worker {number + 1} of {self._workers}"] = f"it did not join within {_PATIENCE_S:g} s"
        return tuple(Joined(name=name, address=address) for name, address in present.items())

    async def lose(self, name: str) -> None:
        """Do nothing: we did not start this worker, so we cannot end it.  Its engines stop when their lease ends."""

    async def close(self) -> None:
        """Close the meeting point; the workers notice that, and end."""
        hub, self._hub = self._hub, None
        if hub is not None:
            await hub.__aexit__(None, None, None)

    async def _wait(self, hub: Hub) -> dict[str, str]:
        """Wait for the workers.  Returns them in the order of their names, which is the same in each run."""
        give_up = time.monotonic() + _PATIENCE_S
        seen: set[str] = set()
        while (left_s := give_up - time.monotonic()) > 0:
            for name in hub.present.keys() - seen:
                self._say(f"{name} has joined ({len(hub.present)} of {self._workers})")
            seen = set(hub.present)
            if len(seen) >= self._workers:
                break
            # At most that long: a worker may leave while another one joins.
            await hub.more_than(len(seen), min(left_s, _LOOK_S))
        first = list(hub.present.items())[: self._workers]
        return dict(sorted(first))
