"""One machine of a fleet on Dask: the shell around its state machine (coordinator.fleet.member).

It reports to the state machine what happened, and carries out the instructions that this returns.  Nothing here waits
for another machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from distributed import Client

from coordinator.fleet import events as happened
from coordinator.fleet import instructions as do
from coordinator.fleet.bandwidth import bandwidth
from coordinator.fleet.clock import ClockTrack
from coordinator.fleet.dask.asking import Asker, UnansweredError, UnreadableError, reading
from coordinator.fleet.dask.lease import Lease, Rhythm, take_sample
from coordinator.fleet.dask.results import Results
from coordinator.fleet.dask.unread import Unread
from coordinator.fleet.member import Member
from coordinator.fleet.plausible import check_snapshots, checked
from coordinator.fleet.ways import Joined
from loadgen.agent.dask import calls
from loadgen.agent.messages import Heartbeat, read_machine
from loadgen.engine.api import Segment
from loadgen.measure.events import AgentEvent, event_from_wire, is_second, snapshots_in
from loadgen.measure.wire import read_field, read_list, read_text
from loadgen.model.errors import FleetError, LoadgenError
from loadgen.model.machine import Machine
from loadgen.model.units import NS_PER_S

_CLOCK_SAMPLES = 17
_CLOCK_PATIENCE_S = 0.5  # a slow connection is measured by fewer samples
_CLOCK_TIMEOUT_S = 5.0
_BANDWIDTH_TIMEOUT_S = 30.0
_DISMISS_TIMEOUT_S = 2.0
_PLAN_TIMEOUT_S = 120.0
_PREPARE_TIMEOUT_S = 75.0  # the agent gives its engines 60
_FINISH_S = 5.0
_LEAVE_TIMEOUT_S = 2.0
_AGAIN_S = 0.05
_LOG_BYTES = 1 << 20


class RemoteMachine:
    """The machine that `joined`, for one run; `member` is its state.

    `on_event` receives its events, with times of our clock, except for the snapshots in its heartbeats, which `unread`
    receives.  `end_process` ends its agent process, if that is possible.  `on_log` receives (machine, line).
    `pulling` limits how many spools are fetched at once.
    """

    def __init__(
        self,
        joined: Joined,
        client: Client,
        run_id: str,
        *,
        member: Member,
        on_event: Callable[[AgentEvent], None],
        end_process: Callable[[], None],
        on_log: Callable[[str, str], None],
        pulling: asyncio.Semaphore,
        unread: Unread,
    ) -> None:
        self.name = joined.name
        self.address = joined.address
        self.member = member
        self.clock = ClockTrack()
        self.cpu_share: float | None = None
        self.problem = ""
        self._run_id = run_id
        self._on_event = on_event
        self._end_process = end_process
        self._on_log = on_log
        self._unread = unread
        self._ask = Asker(client, joined.address)
        self._results = Results(self._ask, run_id, joined.name, turn=pulling, on_frame=self._take_frame)
        self._pull: asyncio.Task[None] | None = None
        self._others: set[asyncio.Task[None]] = set()
        self._log_bytes = 0
        self.lease = Lease(
            self._ask,
            run_id,
            clock=self.clock,
            stream=self._results.stream,
            on_renewed=self._renewed,
            on_failure=self.lose,
        )

    @property
    def described(self) -> Machine:
        """The machine's answer to hello."""
        assert self.member.described is not None, "it has not answered hello"
        return self.member.described

    @property
    def lost(self) -> bool:
        """Whether the machine was given up."""
        return self.member.lost

    @property
    def missing_bytes(self) -> int:
        """The number of bytes of results that the machine announced and that have not been received."""
        return self._results.stream.missing_bytes

    def feed(self, event: happened.Event) -> list[do.Instruction]:
        """Tell the state machine what happened, and carry out at once what that makes necessary.

        Returns the instructions whose results somebody waits for; the caller carries them out.
        """
        return [one for one in self.member.handle(event) if not self._carry_out(one)]

    def _carry_out(self, instruction: do.Instruction) -> bool:
        """Whether the instruction was carried out, or at least begun."""
        match instruction:
            case do.Tell(event):
                self._on_event(event)
            case do.Pull():
                self._pull = asyncio.create_task(self._pull_once())
            case do.DismissEngines(workers):
                self._spawn(self._dismiss(workers))
            case do.DismissAll():
                self._spawn(self._dismiss_all())
            case do.Cut():
                self._ask.cut(self.member.why)
                self.lease.stop()
                _cancel(self._pull)
            case do.EndProcess():
                self._end_process()
            case do.Rest():
                self.lease.stop()
                _cancel(self._pull, *self._others)
            case _:
                return False
        return True

    # Beginning

    async def welcome(
        self,
        engines: int,
        versions: Mapping[str, str],
        timeout_s: float,
        *,
        measuring: asyncio.Semaphore,
        rhythm: Rhythm,
    ) -> None:
        """Make the machine start its engines, measure its clock, and renew its lease from then on.  Never raises
        LoadgenError.

                `measuring` limits how many clocks are measured at once.
        """
        try:
            answer = await self._ask(
                calls.hello, self._run_id, self.name, engines, dict(versions), "", timeout_s=timeout_s
            )
            with reading():
                described = read_machine(answer, self.name, self.address)
            if do.MeasureClock() not in self.feed(happened.Greeted(described)):
                return
            await self._measure_clock(1)
            self.lease.keep(rhythm)  # its turn to be measured may come later than the end of its lease
            async with measuring:
                await self._measure_clock(_CLOCK_SAMPLES)
        except LoadgenError as error:
            self.feed(happened.Refused(error.message))
        else:
            self.feed(happened.Measured(time.monotonic_ns()))

    async def _measure_clock(self, samples: int) -> None:
        """Make this many round trips, or fewer when half a second is over."""
        began_ns = time.monotonic_ns()
        for _ in range(samples):
            sent_ns = time.monotonic_ns()
            take_sample(self.clock, sent_ns, await self._ask(calls.clock, timeout_s=_CLOCK_TIMEOUT_S))
            if time.monotonic_ns() - began_ns > _CLOCK_PATIENCE_S * NS_PER_S:
                break

    # Commands

    async def prepare(self, blob: bytes, digest: str, shards: Mapping[str, bytes], turn: asyncio.Semaphore) -> None:
        """Send the plan that all workers share, then the shards of its own workers.  Without shards it has no part.

        `turn` limits how many machines are sent the plan at once.  Raises LoadgenError if it refuses.
        """
        if do.SendPlan() not in self.feed(happened.Assigned(frozenset(shards))):
            if self._others:  # its engines are told to end; if that fails they stay idle, and end with the agent
                await asyncio.wait(self._others)
            return
        try:
            async with turn:
                answer = await self._ask(calls.take_plan, self._run_id, blob, timeout_s=_PLAN_TIMEOUT_S)
            with reading():
                received = read_text(answer, "digest")
            if received != digest:
                raise FleetError(f"the plan was damaged on the way: its digest is {received[:12]}…, not {digest[:12]}…")
            await self._ask(calls.prepare, self._run_id, digest, dict(shards), timeout_s=_PREPARE_TIMEOUT_S)
        except LoadgenError:
            self.feed(happened.PrepareFailed())
            raise
        self.feed(happened.Prepared())

    async def start(self, segment: Segment, timeout_s: float) -> None:
        """Make the machine play a segment, whose times are of the coordinator's clock.  A machine that does not confirm
        in time is lost.
        """
        now_ns = time.monotonic_ns()
        if do.SendStart(segment) not in self.feed(happened.Ordered(segment, now_ns)):
            return
        offset_ns = self.clock.at(now_ns).offset_ns
        theirs = {name: value + offset_ns for name, value in dataclasses.asdict(segment).items() if name != "index"}
        try:
            answer = await self._ask(
                calls.start, self._run_id, {"index": segment.index, **theirs}, timeout_s=max(0.0, timeout_s)
            )
            with reading():
                read_list(answer, "armed")
        except UnansweredError as error:
            self.feed(happened.Unarmed(f"it was not armed in time: {error.message}"))
        except LoadgenError as error:
            self.feed(happened.Unarmed(error.message))
        else:
            self.feed(happened.Armed())

    async def _dismiss(self, workers: Sequence[str]) -> None:
        with contextlib.suppress(LoadgenError):
            await self._ask(calls.dismiss, self._run_id, list(workers), timeout_s=_DISMISS_TIMEOUT_S)

    async def _dismiss_all(self) -> None:
        heard = False
        with contextlib.suppress(LoadgenError):
            await self._ask.anyway(calls.dismiss, self._run_id, [], timeout_s=_DISMISS_TIMEOUT_S)
            heard = True
        self.feed(happened.DismissalEnded(heard))

    # Messages from the machine

    def hear(self, heartbeat: Heartbeat, received_ns: int) -> None:
        """Take a heartbeat that came at `received_ns`.  Raises UnreadableError if its results cannot be read."""
        sent_ns, heard_ns = heartbeat.heard or (-1, -1)
        if self.lease.was_posted(sent_ns):
            said_ns = heartbeat.at_ns
            self.clock.overhear(sent_ns=sent_ns, heard_ns=heard_ns, said_ns=said_ns, received_ns=received_ns)
            self.feed(happened.Leapt(self.clock.take_leap_ns()))
        self.cpu_share, self.problem = heartbeat.cpu_share, heartbeat.problem
        for line in heartbeat.log:
            self._log(line)
        if heartbeat.log_dropped:
            self._log(f"({heartbeat.log_dropped} lines were dropped)")
        behind = False
        if (
            self.member.described is not None
        ):  # otherwise its answer to hello is under way, and results are fetched later
            stream, chunk = self._results.stream, heartbeat.chunk
            stream.announce(heartbeat.spool_bytes)
            if chunk is not None:
                self._results.take(chunk, together=True)
            whole = chunk is not None and stream.received >= chunk.offset + len(chunk.data)
            behind = bool(stream.missing_bytes) and not whole
        self.feed(happened.Beat(heartbeat.state, behind))

    def lose(self, why: str) -> None:
        """Give the machine up for this reason.  Idempotent."""
        self._fatal(happened.Failed(why))

    def left(self) -> None:
        """Give the machine up because its connection ended.  Idempotent."""
        self._fatal(happened.Left())

    def _fatal(self, event: happened.Event) -> None:
        self._unread.read()  # its earlier messages still count
        self.feed(event)

    def _renewed(self, known: bool) -> None:
        self._fatal(happened.Renewed(known))
        self._fatal(happened.Leapt(self.clock.take_leap_ns()))

    def check_snapshots(self, workers: Sequence[str], intervals: Sequence[int]) -> None:
        """Raise ValueError if it cannot have measured snapshots of `workers`, each of its interval."""
        check_snapshots(self.member, workers, intervals, time.monotonic_ns())

    def _take_frame(self, frame: Any, together: bool) -> None:
        snapshots = snapshots_in(frame) if together else None
        if snapshots is not None:
            self._unread.add(self, snapshots)
            return
        if not is_second(frame):  # it may be read before snapshots, which many machines' reports have together
            self._unread.read()  # its earlier messages come first
        if not self.lost:
            now_ns = time.monotonic_ns()
            event = checked(self.member, event_from_wire(frame), now_ns, self.clock.at(now_ns).offset_ns)
            self.feed(happened.Reported(event))

    # Results

    async def settle(self, patience_s: float) -> None:
        """Fetch what its spool holds by now.  It is lost if that is nonsense, or nothing arrives for `patience_s`."""
        received, give_up_s = -1, 0.0
        while not self.lost:
            if self._results.stream.received > received:
                received, give_up_s = self._results.stream.received, time.monotonic() + patience_s
            left_s = give_up_s - time.monotonic()
            if left_s <= 0:
                self.lose(f"its last results did not arrive within {patience_s:g} s")
                return
            try:
                async with asyncio.timeout(left_s):
                    await self._results.fetch(self.described.spool)
            except (TimeoutError, UnansweredError):
                await asyncio.sleep(_AGAIN_S)
            except LoadgenError as error:
                self.lose(error.message)
            else:
                self.feed(happened.Settled())
                return

    async def _pull_once(self) -> None:
        """Fetch what its spool holds by now.  It is lost if it sends nonsense, but not if it does not answer."""
        try:
            await self._results.fetch(self.described.spool)
        except UnreadableError as error:
            self.lose(error.message)
        except LoadgenError:
            pass
        self.feed(happened.Pulled())

    async def bandwidth(self, host: str, port: int) -> tuple[float, float]:
        """Return the bit/s that it measured to an address and from there.  Raises LoadgenError."""
        answer = await self._ask(bandwidth, host, port, timeout_s=_BANDWIDTH_TIMEOUT_S)
        rates = [read_field(answer, name) for name in ("send_bps", "receive_bps")]
        if not all(isinstance(rate, float) and math.isfinite(rate) for rate in rates):
            raise FleetError("it sent something unreadable for its bandwidth")
        return rates[0], rates[1]

    # End

    async def part(self) -> None:
        """Fetch the rest of its results, and tell it that the run is over.  Bounded in time; never raises LoadgenError.

        If it cannot be reached, it becomes free for another run by itself.
        """
        why = ""
        pending = self.feed(happened.Closing())
        if do.FetchRest() in pending:
            pending = self.feed(happened.Finished(await self._fetch_rest()))
        for order in pending:
            if isinstance(order, do.Leave):
                try:
                    await self._ask.anyway(calls.leave, self._run_id, order.delete_spool, timeout_s=_LEAVE_TIMEOUT_S)
                except LoadgenError as error:
                    why = error.message
        self.feed(happened.Gone(why))

    def leave_out(self) -> None:
        """Note that the run begins without the machine."""
        self.feed(happened.LeftOut())

    async def _fetch_rest(self) -> str:
        """Return why not everything was fetched; empty on success."""
        try:
            async with asyncio.timeout(_FINISH_S):
                await self._results.finish(self.member.described.spool if self.member.described is not None else "")
        except TimeoutError:
            return f"they did not arrive within {_FINISH_S:g} s"
        except LoadgenError as error:
            return error.message
        return ""

    def rest(self) -> None:
        """End everything that goes on for it here, when there was no time to part."""
        self._carry_out(do.Rest())

    # Inside

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._others.add(task)
        task.add_done_callback(self._others.discard)

    def _log(self, line: str) -> None:
        if self._log_bytes > _LOG_BYTES:
            return
        self._log_bytes += len(line.encode()) + 1
        self._on_log(self.name, line if self._log_bytes <= _LOG_BYTES else "(further lines were dropped)")


def _cancel(*tasks: asyncio.Task[None] | None) -> None:
    for task in tasks:
        if task is not None and task is not asyncio.current_task():
            task.cancel()
