"""The work of a load machine for one run: it drives its engines, spools their measurements, and sends heartbeats.

It knows nothing of the network: commands are methods, heartbeats leave by one callback.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import os
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgpack

from loadgen.agent.engines import Agent
from loadgen.agent.facts import CpuMeter, processes_with
from loadgen.agent.heart import Heart, next_beat_ns
from loadgen.agent.logtail import LogTail
from loadgen.agent.spool import Spool
from loadgen.engine.api import LEASE_NS, Assignment, Segment
from loadgen.host import frames
from loadgen.measure.disturbance import MachineSecond
from loadgen.measure.events import AgentEvent, SegmentBegan, SegmentEnded, event_to_wire
from loadgen.measure.snapshot import Snapshot
from loadgen.measure.together import Snapshots
from loadgen.model.errors import FleetError
from loadgen.model.machine import MachineState
from loadgen.model.shard import Shard
from loadgen.model.units import NS_PER_S

ABANDONED_NS = 10 * NS_PER_S
"""A machine whose lease was not renewed for so long ends its engines, and is free for other runs."""

_LAST_WORDS_S = 0.8  # engines need milliseconds unless they are frozen; ending must take less than 2 s in all
_HOLD_S = 0.05  # snapshots that come within this time are written, sent and read as one
_HOLD_ROWS = 100_000  # rows of tallies: 5 MB, because frames are limited
_GATHER_S = 0.01  # events of all engines at nearly the same time are sent in one message

Heartbeat = dict[str, Any]


class Duty:
    """The part of machine `machine` in run `run_id`, with engine processes `workers`.

    `send` receives the heartbeats.  It may raise OSError; that heartbeat is lost then.  `make_agent` takes the
    arguments of Agent, and returns an Agent or a double of it.
    """

    def __init__(
        self,
        run_id: str,
        machine: str,
        workers: Sequence[str],
        *,
        spool: Spool,
        send: Callable[[Heartbeat], None],
        log: LogTail,
        chunk_bytes: int,
        make_agent: Callable[..., Agent],
    ) -> None:
        self.run_id = run_id
        self.machine = machine
        self.workers = tuple(workers)
        self.spool = spool
        self._send = send
        self._log = log
        self._agent = make_agent(workers, self._took, machine=machine, ours=self._ours, mark=run_id, on_log=log.add)
        self._heart = Heart(machine, chunk_bytes)
        self._cpu = CpuMeter()
        self._cpu_share: float | None = None
        self._origin_ns = time.monotonic_ns()
        self._heard_ns = self._origin_ns
        self._held: list[Snapshot] = []  # held until all engines have reported
        self._happened = asyncio.Event()
        self._urgent = asyncio.Event()  # the next heartbeat is sent at once
        self._beating: asyncio.Task[None] | None = None
        self._blob = b""
        self._digest = ""
        self._stopped = -1  # the index of the last stopped segment
        self._began = False  # whether the segment has begun for which the engines are armed
        self._finished = False  # nothing more is written to the spool
        self._ended = False

    async def open(self) -> None:
        """Start the engines and the heartbeats.  Raises FleetError if an engine does not come up."""
        await self._agent.open()
        self._heard_ns = time.monotonic_ns()
        self._cpu.read()
        self._beating = asyncio.create_task(self._beat())

    @property
    def is_over(self) -> bool:
        """Whether this machine is free: the run ended here, or its lease was not renewed for 10 s."""
        return self._ended or self._is_abandoned()

    def _is_abandoned(self) -> bool:
        return time.monotonic_ns() - self._heard_ns > ABANDONED_NS

    async def take_plan(self, blob: bytes) -> str:
        """Keep the part of the plan that all workers share.  Returns its SHA-256."""
        self._digest = await asyncio.to_thread(lambda: hashlib.sha256(blob).hexdigest())
        self._blob = blob
        return self._digest

    async def prepare(self, digest: str, shards: Mapping[str, bytes]) -> None:
        """Give the engines their shards of the plan with that digest; engines without a shard are ended.

        Raises FleetError if this machine has another plan or an engine refuses, TargetError if an engine cannot
        resolve a target.
        """
        if digest != self._digest:
            raise FleetError(
                "it has another plan than the coordinator", hint="this is a bug in loadgen; please report it"
            )
        try:
            common, own = await asyncio.to_thread(_read_plan, self._blob)
            given = [
                dataclasses.replace(common, worker=worker, shard=Shard.from_wire(shard)).with_own(*own[worker])
                for worker, shard in shards.items()
            ]
        except (ValueError, KeyError, TypeError, zlib.error, msgpack.exceptions.UnpackException) as error:
            raise FleetError(f"it cannot read the plan: {error}") from error
        if unknown := shards.keys() - set(self.workers):
            raise FleetError(f"it has no engine {', '.join(sorted(unknown))}")
        self._blob = b""  # free some megabytes; the engines have it now
        await self._agent.prepare(given)

    async def start(self, segment: Segment) -> list[str]:
        """Play a segment, which has times of this machine's clock, on all engines.  Returns the workers that are armed.

        Raises FleetError if the segment should have begun already: the order was delayed, and the coordinator has
        given up this machine meanwhile.  A segment that was stopped before this order arrived ends at once.
        """
        if time.monotonic_ns() >= segment.start_ns:
            raise FleetError("the order to start arrived too late")
        if segment.index <= self._stopped:
            for worker in self.workers:
                self._took(SegmentEnded(worker, segment.index, "stopped"))
            return []
        self._began = False
        self._origin_ns = segment.origin_ns
        armed = await self._agent.start(segment)
        self._urgent.set()  # the live view shows which engines are armed
        return armed

    def renew(self, until_ns: int, acknowledged_bytes: int) -> bool:
        """Extend the lease to `until_ns` of this machine's clock.  Returns whether the machine still serves the run.

        The coordinator has received all of the spool before `acknowledged_bytes`.
        """
        if self.is_over:
            return False
        now_ns = time.monotonic_ns()
        self._heard_ns = now_ns
        self._agent.renew(min(until_ns, now_ns + LEASE_NS))  # a wrong clock offset must not make the lease longer
        self._heart.acknowledge(acknowledged_bytes)
        self.spool.acknowledge(acknowledged_bytes)
        return True

    def hear(self, sent_ns: int) -> None:
        """Note that a message arrives now that the coordinator sent at `sent_ns` of its clock."""
        self._heart.hear(sent_ns, time.monotonic_ns())

    def stop(self, segment: int) -> None:
        """Stop the traffic of segments up to this one, also if the order to start such a segment arrives later."""
        self._stopped = max(self._stopped, segment)
        self._agent.stop()

    async def settle(self) -> None:
        """Wait some milliseconds, until the use of the cores in the segment that ended is in the spool."""
        await self._agent.settle()

    def dismiss(self, workers: Iterable[str]) -> None:
        """End these engines, or all if none is named.  Nothing more is reported of them."""
        for worker in list(workers) or self.workers:
            self._agent.dismiss(worker)

    async def finish(self) -> int:
        """Stop, write the last reports, and then nothing more.  Returns the length of the spool."""
        await self._take_last_words()
        await self.settle()
        self._write_held()
        self._finished = True
        return self.spool.length

    async def end(self, *, delete_spool: bool = False) -> None:
        """Stop the traffic at once, write the last reports of the engines, end the engines and the heartbeats.

        Within 2 s, and idempotent.
        """
        if self._ended:
            return
        self._ended = True
        await self._take_last_words()
        if self._beating is not None:
            self._beating.cancel()
        await self._agent.close()
        self._let_go(delete_spool=delete_spool)

    async def _take_last_words(self) -> None:
        self._agent.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_S):
                while self._agent.playing:
                    self._happened.clear()
                    await self._happened.wait()

    def _ours(self) -> list[int]:
        """Return this process and all others of the run: several of its agents may share this machine and its cores."""
        return [os.getpid(), *processes_with(self.run_id)]

    def _took(self, event: AgentEvent) -> None:
        self._happened.set()
        if self._finished:
            return
        if isinstance(event, Snapshot):
            self._held.append(event)
            if len(self._held) >= self._agent.present or sum(len(one.tallies) for one in self._held) > _HOLD_ROWS:
                self._write_held()
            elif len(self._held) == 1:
                asyncio.get_running_loop().call_later(_HOLD_S, self._write_held)
            return
        if isinstance(event, MachineSecond):  # it may precede the snapshots of its second, and waits for a heartbeat
            self.spool.append(frames.encode(event_to_wire(event)))
            return
        self._write_held()
        self.spool.append(frames.encode(event_to_wire(event)))
        if isinstance(event, SegmentBegan):
            self._began = True
        self._urgent.set()

    def _write_held(self) -> None:
        """Write the snapshots that are held back, before anything that came later."""
        held, self._held = self._held, []
        if held and not self._finished:
            self.spool.append(frames.encode(event_to_wire(Snapshots.of(held))))

    async def _beat(self) -> None:
        """Send heartbeats until the lease was not renewed for 10 s; then end the engines, and keep the spool."""
        while not self._is_abandoned():
            now_ns = time.monotonic_ns()
            try:
                async with asyncio.timeout((next_beat_ns(now_ns, self._origin_ns) - now_ns) / NS_PER_S):
                    await self._urgent.wait()
                    await asyncio.sleep(_GATHER_S)
            except TimeoutError:
                self._cpu_share = self._cpu.read()
            self._urgent.clear()
            while self._report() and self._heart.has_more(self.spool.length):
                continue
        self._ended = True
        await self._agent.close()
        self._let_go(delete_spool=False)

    def _let_go(self, *, delete_spool: bool) -> None:
        self._write_held()
        self._finished = True
        self.spool.close(delete=delete_spool)

    def _report(self) -> bool:
        """Send a heartbeat.  Returns whether it carries a chunk of the spool."""
        self._write_held()
        if not self._agent.playing:
            state = MachineState.READY
        else:
            state = MachineState.PLAYING if self._began else MachineState.ARMED
        beat = self._heart.beat(
            at_ns=time.monotonic_ns(),
            state=state,
            engines=self._agent.present,
            cpu_share=self._cpu_share,
            spool_bytes=self.spool.length,
            read=self.spool.read,
            log=self._log.take(),
            problem=self.spool.problem,
        )
        with contextlib.suppress(OSError):  # the coordinator notices the silence
            self._send(beat)
        return beat["chunk"] is not None


def pack_plan(shared: Mapping[str, Any]) -> bytes:
    """Pack the part of the assignments that all workers share, for :meth:`Duty.take_plan`.

    It is compressed because it is sent to hundreds of machines: 3 MB of tape become 0.8 MB in 40 ms, once.
    """
    return zlib.compress(msgpack.packb(shared), 1)


def _read_plan(blob: bytes) -> tuple[Assignment, Mapping[str, Sequence[int]]]:
    """Return the shared assignment, without a worker and its shard, and by worker what `Assignment.own` gave."""
    shared = msgpack.unpackb(zlib.decompress(blob))
    return Assignment.from_wire({**shared, "worker": "", "shard": b""}), shared["own"]
