"""Fetches the spools of a run whose coordinator was killed or cut off, and adds them to the record of the run."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from coordinator.fleet.stream import Stream
from coordinator.record.collected import add_collected
from coordinator.record.fleet import FleetRecord
from deploy.hosts.inventory import Host
from loadgen.agent.bootstrap import Collect, bootstrap
from loadgen.agent.chunk import MAX_CHUNK_BYTES, Chunk, hash_of
from loadgen.measure.events import OneEvent, apart, event_from_wire
from loadgen.measure.snapshot import Snapshot
from loadgen.measure.wire import read_bytes, read_int, read_text
from loadgen.model.errors import FleetError, LoadgenError, PlanError
from loadgen.model.plain import from_plain

if TYPE_CHECKING:
    from deploy.hosts.remote import Remote
    from deploy.hosts.ssh import Link, Ssh


_SILENCE_S = 30.0  # a part of a spool is 4 MB
_END_S = 5.0


class Source(Protocol):
    """The place of one machine's spool."""

    @property
    def name(self) -> str:
        """The name of the machine."""

    async def fetch(self, keep: Callable[[bytes], int]) -> int:
        """Pass the whole spool to `keep`, and return its result; the spool is deleted only after that.

        Raises LoadgenError.
        """


@dataclass(frozen=True, slots=True)
class SpoolFile:
    """A copy of a spool on this machine.  It is not deleted."""

    name: str
    path: Path

    async def fetch(self, keep: Callable[[bytes], int]) -> int:
        """Pass the whole spool to `keep`; see :class:`Source`."""
        try:
            data = await asyncio.to_thread(self.path.read_bytes)
        except OSError as error:
            raise PlanError(f"the spool {self.path} cannot be read: {error.strerror}") from error
        return keep(data)


@dataclass(frozen=True, slots=True)
class SpoolOnHost:
    """A spool on a host that is reached by SSH, with `connect`.  It is deleted once it was fetched."""

    host: Host
    run_id: str
    connect: Callable[[Host], Awaitable[Link]]

    @property
    def name(self) -> str:
        """The name of the machine."""
        return self.host.name

    async def fetch(self, keep: Callable[[bytes], int]) -> int:
        """Pass the whole spool to `keep`; see :class:`Source`."""
        link = await self.connect(self.host)
        try:
            task = Collect(run_id=self.run_id, name=self.host.name, spool=self.host.spool, delete=True)
            remote = await link.start(self.run_id, bootstrap(task))
            try:
                pieces = []
                while (message := await _next(remote)) is not None and message.get("is") == "spool":
                    pieces.append(read_bytes(message, "data"))
                if message is None:
                    raise FleetError(await remote.why_ended())
                data = b"".join(pieces)
                digest = hashlib.sha256(data).hexdigest()
                if (read_int(message, "bytes"), read_text(message, "sha256")) != (len(data), digest):
                    raise FleetError("checksum mismatch while fetching the spool")
                kept = keep(data)
                remote.tell({"do": "received", "sha256": digest})
                remote.end_input()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_END_S):
                        await remote.wait_ended()
                return kept
            except TimeoutError:
                raise FleetError(f"it sent nothing for {_SILENCE_S:g} s") from None
            except ValueError as error:
                raise FleetError(f"it sent something unreadable: {error}") from error
            finally:
                await remote.close()
        finally:
            await link.close()


async def _next(remote: Remote) -> dict[str, Any] | None:
    async with asyncio.timeout(_SILENCE_S):
        return await remote.receive()


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """The result for one machine: how many intervals were new for the record, or why none was fetched."""

    name: str
    intervals: int
    problem: str


def sources_of(fleet: FleetRecord, say: Callable[[str], None] = lambda text: None) -> list[Source]:
    """Return the spools of a run whose machines are reached by SSH.  Raises PlanError if they are not.

    `say` receives what the user should know, such as a key file that is skipped.
    """
    if fleet.way == "local":
        raise PlanError("this run used no other machines, so there is nothing to collect")
    if not fleet.hosts:
        raise PlanError(
            f"this run's machines were not reached by SSH ({fleet.way})",
            hint=f"copy {fleet.run_id}/*.spool from the spool directories of its machines, then give the files: "
            "loadgen collect RUN FILE...",
        )
    spools = {machine.name: machine.spool for machine in fleet.machines}
    found: list[Source] = []
    connect = _connect(say)
    for data in fleet.hosts:
        host = from_plain(Host, data, "the record's host")
        if host.name in spools:
            host = from_plain(Host, {**data, "spool": spools[host.name]}, "the record's host")
        elif spools:  # a coordinator that was killed while it reached its machines knows none
            continue
        found.append(SpoolOnHost(host, fleet.run_id, connect))
    return found


def _connect(say: Callable[[str], None]) -> Callable[[Host], Awaitable[Link]]:
    """Connects to hosts, together a few at a time, from the first use on: SSH needs the packages of the extra."""

    @functools.cache
    def ssh() -> Ssh:
        from deploy.hosts.ssh import Ssh

        return Ssh(say)

    return lambda host: ssh().connect(host)


async def collect(record: Path, workers: Collection[str], sources: Sequence[Source]) -> list[Collected]:
    """Fetch all spools at once, and add new intervals of these workers to the record."""

    def keep(data: bytes) -> int:
        new = [event for event in events_of(data) if isinstance(event, Snapshot)]
        if strangers := {snapshot.worker for snapshot in new} - set(workers):
            raise FleetError(f"the spool is not of this run, in which {min(strangers)} had no part")
        return add_collected(record, new)

    async def one(source: Source) -> Collected:
        try:
            return Collected(name=source.name, intervals=await source.fetch(keep), problem="")
        except LoadgenError as error:
            return Collected(name=source.name, intervals=0, problem=error.message)

    return list(await asyncio.gather(*(one(source) for source in sources)))


def events_of(spool: bytes) -> list[OneEvent]:
    """Return the events in a spool, one by one.  An incomplete last frame is ignored.  Raises FleetError."""
    stream, events = Stream(), list[OneEvent]()
    try:
        for offset in range(0, len(spool), MAX_CHUNK_BYTES):
            data = spool[offset : offset + MAX_CHUNK_BYTES]
            chunk = Chunk(offset=offset, data=data, sha256=hash_of(offset, data))
            events += apart(map(event_from_wire, stream.take(chunk)))
    except ValueError as error:
        raise FleetError(f"this is not a spool of loadgen: {error}") from error
    return events
