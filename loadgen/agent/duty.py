"""What a load machine does for one run: it drives its engines, keeps what they measured, and reports by heartbeats.

It knows nothing of the network: commands are calls, heartbeats go out by one callback.
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
from loadgen.measure.events import AgentEvent, SegmentBegan, SegmentEnded, event_to_wire
from loadgen.measure.snapshot import Snapshot
from loadgen.measure.together import Snapshots
from loadgen.model.errors import FleetError
from loadgen.model.machine import MachineState
from loadgen.model.shard import Shard
from loadgen.model.units import NS_PER_S

ABANDONED_NS = 10 * NS_PER_S
"""A machine that heard no renewal for so long is free for others."""

_LAST_WORDS_S = 0.8  # engines that are not frozen need milliseconds; with these it must still be over within 2 s
_HOLD_S = 0.05  # what engines report at nearly the same time is written, sent and read as one
_HOLD_ROWS = 100_000  # of tallies, 5 MB: a frame has a limit
_GATHER_S = 0.01  # what happens to one engine happens to all at nearly the same time: one message

Heartbeat = dict[str, Any]


class Duty:
    """A machine's part in run `run_id`, under the name of `machine`, with engine processes `workers`.

    `send` gets the heartbeats.  It may raise OSError: then nobody hears this one.  `make_agent` makes what drives the
    engines, with the arguments of an Agent.
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
        self._held: list[Snapshot] = []  # of engines that have reported, until the others have
        self._happened = asyncio.Event()
        self._urgent = asyncio.Event()  # something of what happened can't wait for the next heartbeat
        self._beating: asyncio.Task[None] | None = None
        self._blob = b""
        self._digest = ""
        self._stopped = -1  # the last segment that was
        self._began = False  # the segment that the engines are armed for, if they are
        self._finished = False  # nothing more is written
        self._ended = False

    async def open(self) -> None:
        """Start the engines and the heartbeat.  Raises FleetError when an engine does not come up."""
        await self._agent.open()
        self._heard_ns = time.monotonic_ns()
        self._cpu.read()
        self._beating = asyncio.create_task(self._beat())

    @property
    def is_over(self) -> bool:
        """Whether nobody needs this machine any more: it was ended, or nobody has renewed its lease for 10 s."""
        return self._ended or self._is_abandoned()

    def _is_abandoned(self) -> bool:
        return time.monotonic_ns() - self._heard_ns > ABANDONED_NS

    async def take_plan(self, blob: bytes) -> str:
        """Keep what all workers have in common; its digest."""
        self._digest = await asyncio.to_thread(lambda: hashlib.sha256(blob).hexdigest())
        self._blob = blob
        return self._digest

    async def prepare(self, digest: str, shards: Mapping[str, bytes]) -> None:
        """Give the engines their part of the plan; those that have no shard are ended.

        Raises FleetError when the plan here is another one, or an engine refuses; TargetError when an engine can't
        find a target.
        """
        if digest != self._digest:
            raise FleetError("it has another plan than the coordinator", hint="a bug of ours; tell us")
        try:
            common = await asyncio.to_thread(_read_plan, self._blob)
            given = [
                dataclasses.replace(common, worker=worker, shard=Shard.from_wire(shard))
                for worker, shard in shards.items()
            ]
        except (ValueError, KeyError, TypeError, zlib.error, msgpack.exceptions.UnpackException) as error:
            raise FleetError(f"it cannot read the plan: {error}") from error
        if unknown := shards.keys() - set(self.workers):
            raise FleetError(f"it has no engine {', '.join(sorted(unknown))}")
        self._blob = b""  # megabytes; the engines have it now
        await self._agent.prepare(given)

    async def start(self, segment: Segment) -> list[str]:
        """Play a segment, in this machine's clock, on all engines: those that are armed.

        Raises FleetError when its time has come already: the order was stuck in the network, and whoever gave it
        has given up this machine since.  A segment that was stopped before the order to start it came ends at once.
        """
        if time.monotonic_ns() >= segment.start_ns:
            raise FleetError("the order to start came too late")
        if segment.index <= self._stopped:
            for worker in self.workers:
                self._took(SegmentEnded(worker, segment.index, "stopped"))
            return []
        self._began = False
        self._origin_ns = segment.origin_ns
        armed = await self._agent.start(segment)
        self._urgent.set()  # the view shows who is armed
        return armed

    def renew(self, until_ns: int, acknowledged_bytes: int) -> bool:
        """Extend the lease to `until_ns` in this machine's clock; whether the machine still serves the run.

        The coordinator has all of the spool before `acknowledged_bytes`.
        """
        if self.is_over:
            return False
        now_ns = time.monotonic_ns()
        self._heard_ns = now_ns
        self._agent.renew(min(until_ns, now_ns + LEASE_NS))  # a clock offset that is wrong must not make it longer
        self._heart.acknowledge(acknowledged_bytes)
        self.spool.acknowledge(acknowledged_bytes)
        return True

    def hear(self, sent_ns: int) -> None:
        """What the coordinator sent at `sent_ns` of its clock comes just now."""
        self._heart.hear(sent_ns, time.monotonic_ns())

    def stop(self, segment: int) -> None:
        """Stop all traffic now, that of segments up to this one; what was posted may overtake an order to start."""
        self._stopped = max(self._stopped, segment)
        self._agent.stop()

    async def settle(self) -> None:
        """Wait, some milliseconds, until what was measured beside a segment that has ended is in the spool."""
        await self._agent.settle()

    def dismiss(self, workers: Iterable[str]) -> None:
        """End these engines, or all when none is named; nothing more is said of them."""
        for worker in list(workers) or self.workers:
            self._agent.dismiss(worker)

    async def finish(self) -> int:
        """Stop, take in what is under way, and write nothing more: the spool's length."""
        await self._take_last_words()
        await self.settle()
        self._write_held()
        self._finished = True
        return self.spool.length

    async def end(self, *, delete_spool: bool = False) -> None:
        """Stop the traffic at once, keep the engines' last words, end the engines and the heartbeat.

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
        """Agents of the same run may be on the same machine, and their engines use the same cores."""
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
        self._write_held()
        self.spool.append(frames.encode(event_to_wire(event)))
        if isinstance(event, SegmentBegan):
            self._began = True
        self._urgent.set()

    def _write_held(self) -> None:
        """Write the snapshots that are held back; they came before whatever comes next."""
        held, self._held = self._held, []
        if held and not self._finished:
            self.spool.append(frames.encode(event_to_wire(Snapshots.of(held))))

    async def _beat(self) -> None:
        """Until nobody has renewed the lease for 10 s; then the engines are ended, and the spool is kept."""
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
        """Send a heartbeat; whether it carries a piece of the spool."""
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
        with contextlib.suppress(OSError):  # nobody hears it; the coordinator notices the silence
            self._send(beat)
        return beat["chunk"] is not None


def pack_plan(shared: Mapping[str, Any]) -> bytes:
    """What all assignments have in common, as `take_plan` wants it.

    It is compressed, for it goes to each machine of hundreds: 3 MB of tape become 0.8, in 40 ms, once.
    """
    return zlib.compress(msgpack.packb(shared), 1)


def _read_plan(blob: bytes) -> Assignment:
    """The assignment that all have in common, of nobody."""
    return Assignment.from_wire({**msgpack.unpackb(zlib.decompress(blob)), "worker": "", "shard": b""})
