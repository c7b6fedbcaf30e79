"""One machine as the coordinator knows it: its clock, its lease, what it reports, and whether it is lost.

Nothing here waits for another machine.  Once lost it stays so: no event of it comes out any more, and when it is
heard again it is only told to end its engines.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from distributed import Client

from coordinator.fleet.api import say_machine_lost
from coordinator.fleet.bandwidth import bandwidth
from coordinator.fleet.clock import ClockTrack
from coordinator.fleet.dask.asking import UnansweredError, UnreadableError, ask, reading
from coordinator.fleet.dask.unread import Unread
from coordinator.fleet.stream import Stream
from coordinator.fleet.ways import Joined
from loadgen.agent.chunk import MAX_CHUNK_BYTES, Chunk
from loadgen.agent.dask import calls
from loadgen.agent.messages import Heartbeat, read_clock, read_known, read_machine
from loadgen.engine.api import LEASE_NS, Segment
from loadgen.measure.events import (
    AgentEvent,
    CoresShared,
    EngineLost,
    SegmentBegan,
    event_from_wire,
    snapshots_in,
)
from loadgen.measure.snapshot import Snapshot
from loadgen.measure.together import Snapshots
from loadgen.measure.wire import read_field, read_int, read_list, read_text
from loadgen.model.errors import FleetError, LoadgenError
from loadgen.model.machine import Machine, MachineState
from loadgen.model.units import NS_PER_S

_CLOCK_SAMPLES = 17
_CLOCK_PATIENCE_S = 0.5  # a slow line is measured by fewer
_POSTED = 8  # a heartbeat tells of one of the latest
_CLOCK_TIMEOUT_S = 5.0
RENEW_TIMEOUT_S = 2.0
_AHEAD_NS = 5 * NS_PER_S  # what it says of a later time than that is wrong
_BANDWIDTH_TIMEOUT_S = 30.0
_PULL_TIMEOUT_S = 10.0
_PULL_TRIES = 3
_DISMISS_TIMEOUT_S = 2.0
_PLAN_TIMEOUT_S = 120.0
_PREPARE_TIMEOUT_S = 75.0  # the agent gives its engines 60
_LEAVE_TIMEOUT_S = 2.0
_LOG_BYTES = 1 << 20


class RemoteMachine:
    """The machine of `joined`, for one run.

    `on_event` gets its events, with times of our clock, but for the snapshots of its heartbeats, which `unread` gets;
    `on_lost` is called once, when it is lost; `pulling` bounds how many machines' spools are fetched at once.
    """

    def __init__(
        self,
        joined: Joined,
        client: Client,
        run_id: str,
        *,
        on_event: Callable[[AgentEvent], None],
        on_lost: Callable[[RemoteMachine], None],
        on_log: Callable[[str, str], None],
        pulling: asyncio.Semaphore,
        unread: Unread,
    ) -> None:
        self.name = joined.name
        self.address = joined.address
        self.clock = ClockTrack()
        self.stream = Stream()
        self.state = MachineState.READY
        self.cpu_share: float | None = None
        self.problem = ""
        self.why_lost = ""
        self._origin_ns = 0  # of the segments, once one was ordered
        self._ordered_ns: int | None = None  # when the first was
        self._client = client
        self._run_id = run_id
        self._on_event = on_event
        self._on_lost = on_lost
        self._on_log = on_log
        self._pulling = pulling
        self._unread = unread
        self._described: Machine | None = None
        self._present: set[str] = set()  # workers that take part and are not lost
        self._gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pull: asyncio.Task[None] | None = None
        self._dismissal: asyncio.Task[None] | None = None
        self._dismissed = False  # whether it has heard that it is lost
        self._keeping: asyncio.Task[None] | None = None
        self._log_bytes = 0
        self._posted_ns: collections.deque[int] = collections.deque(maxlen=_POSTED)  # when renewals were

    @property
    def described(self) -> Machine:
        """As it described itself in its hello."""
        assert self._described is not None, "it has not said hello"
        return self._described

    @property
    def _workers(self) -> tuple[str, ...]:
        return self._described.workers if self._described is not None else ()

    @property
    def lost(self) -> bool:
        """Whether it was given up."""
        return bool(self.why_lost)

    @property
    def played(self) -> bool:
        """Whether it was ordered to play."""
        return self._ordered_ns is not None

    @property
    def engines(self) -> int:
        """How many of its engines take part and are not lost."""
        return len(self._present)

    # Beginning

    async def hello(self, engines: int, versions: Mapping[str, str], timeout_s: float) -> None:
        """Have it start its engines, with its spool where it wants it.

        Raises LoadgenError when it refuses or does not answer.
        """
        answer = await self._ask(calls.hello, self._run_id, self.name, engines, dict(versions), "", timeout_s=timeout_s)
        with reading():
            self._described = read_machine(answer, self.name, self.address)
        self._present = set(self._described.workers)

    async def measure_clock(self, samples: int = _CLOCK_SAMPLES) -> None:
        """So many round trips, or those that half a second allows.  Raises LoadgenError when it does not answer."""
        began_ns = time.monotonic_ns()
        for _ in range(samples):
            sent_ns = time.monotonic_ns()
            answer = await self._ask(calls.clock, timeout_s=_CLOCK_TIMEOUT_S)
            self._sample(sent_ns, answer)
            if time.monotonic_ns() - began_ns > _CLOCK_PATIENCE_S * NS_PER_S:
                break

    # Lease

    def keep(self, interval_s: float, delay_s: float) -> None:
        """From now on renew its lease each `interval_s`, the first time after `delay_s`."""

        async def keep() -> None:
            await asyncio.sleep(delay_s)
            while not self.lost:
                sent_ns = time.monotonic_ns()
                await self._renew()
                await asyncio.sleep(interval_s - (time.monotonic_ns() - sent_ns) / NS_PER_S)

        self._keeping = asyncio.create_task(keep())

    def keep_no_longer(self) -> None:
        """From now on others renew it."""
        if self._keeping is not None:
            self._keeping.cancel()

    def renew_once(self) -> None:
        """Renew its lease, and measure its clock, unless that is under way."""
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.create_task(self._renew())

    def lease(self, now_ns: int) -> tuple[int, int]:
        """What a renewal that is sent now says: until when, in its clock, and how much of its spool is here."""
        # From the moment of sending: a renewal that is stuck in the network must not extend anything.
        return now_ns + self.clock.at(now_ns).offset_ns + LEASE_NS, self.stream.received

    def renewal(self, now_ns: int) -> dict[str, Any]:
        """What is posted now to renew its lease; its next heartbeat says when that came."""
        self._posted_ns.append(now_ns)
        return {"sent_ns": now_ns, "lease": self.lease(now_ns)}

    def renewed(self, answer: object) -> None:
        """What it answered to a renewal."""
        with reading():
            known = read_known(answer)
        if not known:
            self.lose("it has ended its engines: it had not heard from here for too long")

    async def _renew(self) -> None:
        sent_ns = time.monotonic_ns()
        lease = self.lease(sent_ns)
        try:
            answer = await ask(self._client, self.address, calls.renew, self._run_id, *lease, timeout_s=RENEW_TIMEOUT_S)
            self._sample(sent_ns, answer)
            self.renewed(answer)
        except UnansweredError:
            pass  # its silence will tell
        except LoadgenError as error:
            self.lose(error.message)

    # Commands

    async def take_plan(self, blob: bytes, digest: str) -> None:
        """Hand over what all workers share.  Raises LoadgenError when it does not arrive as it is."""
        answer = await self._ask(calls.take_plan, self._run_id, blob, timeout_s=_PLAN_TIMEOUT_S)
        with reading():
            got = read_text(answer, "digest")
        if got != digest:
            raise FleetError(f"the plan arrived spoilt: its digest is {got[:12]}…, not {digest[:12]}…")

    async def prepare(self, digest: str, shards: Mapping[str, bytes]) -> None:
        """Prepare the workers that have a shard; the others are ended.  Raises LoadgenError when it refuses."""
        self._present.intersection_update(shards)
        await self._ask(calls.prepare, self._run_id, digest, dict(shards), timeout_s=_PREPARE_TIMEOUT_S)

    async def spare(self) -> None:
        """It has no part in the run: end its engines.  When it does not answer they stay idle, and end with it."""
        self._present.clear()
        with contextlib.suppress(LoadgenError):
            await self._ask(calls.dismiss, self._run_id, [], timeout_s=_DISMISS_TIMEOUT_S)

    async def start(self, segment: Segment, timeout_s: float) -> None:
        """Have it play a segment of our clock.  Who has not answered in time that all are armed is lost."""
        now_ns = time.monotonic_ns()
        if self._ordered_ns is None:
            self._ordered_ns = now_ns
        self._origin_ns = segment.origin_ns
        offset_ns = self.clock.at(now_ns).offset_ns
        theirs = {name: value + offset_ns for name, value in dataclasses.asdict(segment).items() if name != "index"}
        try:
            answer = await self._ask(
                calls.start, self._run_id, {"index": segment.index, **theirs}, timeout_s=max(0.0, timeout_s)
            )
            with reading():
                read_list(answer, "armed")
            self.state = MachineState.ARMED
        except UnansweredError as error:
            self.lose(f"it was not armed in time: {error.message}")
        except LoadgenError as error:
            self.lose(error.message)

    async def dismiss(self, worker: str) -> None:
        """Have it end one worker that was given up."""
        self._present.discard(worker)
        if not self.lost:  # all of a lost machine's are dismissed anyway
            with contextlib.suppress(LoadgenError):
                await self._ask(calls.dismiss, self._run_id, [worker], timeout_s=_DISMISS_TIMEOUT_S)

    # What it says

    def hear(self, heartbeat: Heartbeat, received_ns: int) -> None:
        """A heartbeat came at `received_ns`.  Raises UnreadableError when its results can't be read."""
        sent_ns, heard_ns = heartbeat.heard or (-1, -1)
        if sent_ns in self._posted_ns:
            said_ns = heartbeat.at_ns
            self.clock.overhear(sent_ns=sent_ns, heard_ns=heard_ns, said_ns=said_ns, received_ns=received_ns)
        self.state, self.cpu_share, self.problem = heartbeat.state, heartbeat.cpu_share, heartbeat.problem
        for line in heartbeat.log:
            self._log(line)
        if heartbeat.log_dropped:
            self._log(f"({heartbeat.log_dropped} lines were dropped)")
        if self._described is None:
            return  # its answer to hello is under way; what it has to tell is fetched then
        self.stream.announce(heartbeat.spool_bytes)
        chunk = heartbeat.chunk
        if chunk is not None:
            self._take(chunk, self._unread)
        whole = chunk is not None and self.stream.received >= chunk.offset + len(chunk.data)
        if self.stream.missing_bytes and not whole and (self._pull is None or self._pull.done()):
            self._pull = asyncio.create_task(self.fetch_or_lose())

    def hear_again(self) -> None:
        """It is lost, but speaks: whatever engines it still has must end."""
        if not self._dismissed and (self._dismissal is None or self._dismissal.done()):
            self._dismissal = asyncio.create_task(self._dismiss_all())

    def lose(self, why: str) -> None:
        """Give it up.  Idempotent."""
        if self.lost:
            return
        self._unread.read()  # it came before
        self.why_lost = why
        self.state = MachineState.LOST
        self._gone.set_result(None)
        for task in (self._pull, self._keeping):
            if task is not None and task is not asyncio.current_task():
                task.cancel()
        for worker in [worker for worker in self._workers if worker in self._present]:
            self._on_event(EngineLost(worker, say_machine_lost(self.name, why)))
        self._present.clear()
        self.hear_again()
        self._on_lost(self)

    # Results

    async def fetch(self) -> None:
        """Fetch what its spool holds by now.

        Raises UnreadableError when what comes can't be read, another LoadgenError when nothing comes.
        """
        tries = 0
        while tries < _PULL_TRIES:
            wanted = self.stream.received
            async with self._pulling:
                answer = await self._ask(
                    calls.read_spool,
                    self._run_id,
                    self.name,
                    wanted,
                    MAX_CHUNK_BYTES,
                    self.described.spool,
                    timeout_s=_PULL_TIMEOUT_S,
                )
            with reading():
                self.stream.announce(read_int(answer, "total_bytes"))
                chunk = Chunk.from_wire(answer)
            self._take(chunk)
            if not self.stream.missing_bytes:
                return
            tries = 0 if self.stream.received > wanted else tries + 1
        raise UnreadableError(ValueError(f"byte {wanted} of its results does not arrive intact"))

    async def fetch_or_lose(self) -> None:
        """Fetch what its spool holds by now; who sends nonsense is lost, and who does not answer is asked again."""
        try:
            await self.fetch()
        except UnreadableError as error:
            self.lose(error.message)
        except LoadgenError:
            pass

    async def finish(self) -> None:
        """Fetch all that it has, to the last byte.  Raises LoadgenError when that is not what came."""
        answer = await self._ask(calls.finish, self._run_id, timeout_s=_PULL_TIMEOUT_S)
        with reading():
            total_bytes = read_int(answer, "bytes")
        self.stream.announce(total_bytes)
        if self.stream.missing_bytes:
            await self.fetch()
        if self.stream.received != total_bytes:
            raise FleetError(f"it has {total_bytes} bytes of results, and {self.stream.received} came")

    async def bandwidth(self, host: str, port: int) -> tuple[float, float]:
        """Bits a second to an address and from there, as it measures them.  Raises LoadgenError."""
        answer = await self._ask(bandwidth, host, port, timeout_s=_BANDWIDTH_TIMEOUT_S)
        rates = [read_field(answer, name) for name in ("send_bps", "receive_bps")]
        if not all(isinstance(rate, float) and math.isfinite(rate) for rate in rates):
            raise FleetError("it sent something unreadable for its bandwidth")
        return rates[0], rates[1]

    async def leave(self, *, delete_spool: bool) -> None:
        """Have it end its engines; it is free for another run.  One that can't be reached becomes so by itself."""
        self.rest()
        if self.lost and not self._dismissed:
            return
        with contextlib.suppress(LoadgenError):
            await ask(self._client, self.address, calls.leave, self._run_id, delete_spool, timeout_s=_LEAVE_TIMEOUT_S)

    def rest(self) -> None:
        """End all that goes on for it here."""
        for task in (self._keeping, self._pull, self._dismissal):
            if task is not None:
                task.cancel()

    # Inside

    async def _ask(self, call: Callable[..., Awaitable[Any]], *arguments: object, timeout_s: float) -> Any:
        """As `ask`; but when the machine is lost, nobody waits any longer."""
        asked = asyncio.ensure_future(ask(self._client, self.address, call, *arguments, timeout_s=timeout_s))
        try:
            await asyncio.wait((asked, self._gone), return_when=asyncio.FIRST_COMPLETED)
            if not asked.done():
                raise UnansweredError(self.why_lost)
            return asked.result()
        finally:
            asked.cancel()

    def _sample(self, sent_ns: int, answer: object) -> None:
        received_ns = time.monotonic_ns()
        with reading():
            self.clock.sample(sent_ns=sent_ns, theirs_ns=read_clock(answer), received_ns=received_ns)

    def _take(self, chunk: Chunk, unread: Unread | None = None) -> None:
        """What is new in a chunk; its snapshots may wait in `unread`.  Raises UnreadableError."""
        with reading():
            for frame in self.stream.take(chunk):
                snapshots = snapshots_in(frame) if unread is not None else None
                if unread is not None and snapshots is not None:
                    unread.add(self, snapshots)
                    continue
                self._unread.read()  # it came before
                if self.lost:
                    return
                self._deliver(event_from_wire(frame))

    def _deliver(self, event: AgentEvent) -> None:
        if isinstance(event, Snapshots):
            self.check_snapshots(event.workers, event.intervals)
        elif isinstance(event, Snapshot):
            self.check_snapshots([event.worker], [event.interval])
        elif isinstance(event, CoresShared):
            _check_speaker([event.machine], [self.name])
        else:
            _check_speaker([event.worker], self._workers)
        now_ns = time.monotonic_ns()
        if isinstance(event, EngineLost):
            self._present.discard(event.worker)
        elif isinstance(event, SegmentBegan):
            event = dataclasses.replace(event, at_ns=event.at_ns - self.clock.at(now_ns).offset_ns)
            if self._ordered_ns is None or not self._ordered_ns < event.at_ns < now_ns + _AHEAD_NS:
                raise ValueError("it began to play at a time that cannot be")
        self._on_event(event)

    def check_snapshots(self, workers: Sequence[str], intervals: Sequence[int]) -> None:
        """Raises ValueError when it can't have measured that: snapshots of `workers`, each of its interval."""
        _check_speaker(workers, self._workers)
        newest = max(intervals)
        if self._origin_ns + newest * NS_PER_S > time.monotonic_ns() + _AHEAD_NS:
            raise ValueError(f"it reports of interval {newest}, which is yet to come")

    async def _dismiss_all(self) -> None:
        with contextlib.suppress(LoadgenError):
            await ask(self._client, self.address, calls.dismiss, self._run_id, [], timeout_s=_DISMISS_TIMEOUT_S)
            self._dismissed = True

    def _log(self, line: str) -> None:
        if self._log_bytes > _LOG_BYTES:
            return
        self._log_bytes += len(line.encode()) + 1
        self._on_log(self.name, line if self._log_bytes <= _LOG_BYTES else "(more was said, and is not kept)")


def _check_speaker(speaks_for: Sequence[str], own: Sequence[str]) -> None:
    if strangers := set(speaks_for).difference(own):
        raise ValueError(f"it speaks for {min(strangers)!r}")
