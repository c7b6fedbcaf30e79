"""The lease of one machine: the machine's engines stop when the lease is not renewed.

A renewal also measures the machine's clock.
"""

from __future__ import annotations

import asyncio
import collections
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from coordinator.fleet.clock import ClockTrack
from coordinator.fleet.dask.asking import Asker, UnansweredError, reading
from coordinator.fleet.stream import Stream
from loadgen.agent.dask import calls
from loadgen.agent.messages import read_clock, read_known
from loadgen.engine.api import LEASE_NS
from loadgen.model.errors import LoadgenError
from loadgen.model.units import NS_PER_S

RENEW_TIMEOUT_S = 2.0
_POSTED = 8  # a heartbeat tells of one of the latest


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """The interval of a lease's renewals, and the delay of the first renewal."""

    interval_s: float
    delay_s: float


class Lease:
    """Renews the lease of the machine that `ask` asks.  A renewal says how much of `stream` has been received.

    `on_renewed` receives whether the machine still serves the run; `on_failure` why it sent nonsense instead.
    """

    def __init__(
        self,
        ask: Asker,
        run_id: str,
        *,
        clock: ClockTrack,
        stream: Stream,
        on_renewed: Callable[[bool], None],
        on_failure: Callable[[str], None],
    ) -> None:
        self._ask = ask
        self._run_id = run_id
        self._clock = clock
        self._stream = stream
        self._on_renewed = on_renewed
        self._on_failure = on_failure
        self._keeping: asyncio.Task[None] | None = None
        self._is_kept = False
        self._posted_ns: collections.deque[int] = collections.deque(maxlen=_POSTED)

    def keep(self, rhythm: Rhythm) -> None:
        """Renew the lease in this rhythm from now on, until :meth:`stop`."""
        self._is_kept = True
        self._keeping = asyncio.create_task(self._keep(rhythm))

    def stop(self) -> None:
        """Stop the renewals; another object may continue them."""
        self._is_kept = False
        if self._keeping is not None and self._keeping is not asyncio.current_task():
            self._keeping.cancel()

    def renew_once(self) -> None:
        """Renew the lease and measure the clock, unless a renewal is in progress."""
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.create_task(self._renew())

    def terms(self, now_ns: int) -> tuple[int, int]:
        """Return the content of a renewal: the end of the lease in the machine's clock, and the number of received
        bytes.

                `now_ns` is when the renewal is sent.
        """
        # From the moment of sending: a renewal that is stuck in the network must not extend anything.
        return now_ns + self._clock.at(now_ns).offset_ns + LEASE_NS, self._stream.received

    def to_post(self, now_ns: int) -> dict[str, Any]:
        """Return the renewal that is posted now, without an answer.  A later heartbeat says when it arrived."""
        self._posted_ns.append(now_ns)
        return {"sent_ns": now_ns, "lease": self.terms(now_ns)}

    def was_posted(self, sent_ns: int) -> bool:
        """Whether a renewal was posted at this time, one of the latest."""
        return sent_ns in self._posted_ns

    def answered(self, answer: object) -> None:
        """Take an answer to a renewal.  Raises UnreadableError."""
        with reading():
            known = read_known(answer)
        self._on_renewed(known)

    async def _keep(self, rhythm: Rhythm) -> None:
        await asyncio.sleep(rhythm.delay_s)
        while self._is_kept:
            sent_ns = time.monotonic_ns()
            await self._renew()
            await asyncio.sleep(rhythm.interval_s - (time.monotonic_ns() - sent_ns) / NS_PER_S)

    async def _renew(self) -> None:
        sent_ns = time.monotonic_ns()
        try:
            answer = await self._ask.anyway(calls.renew, self._run_id, *self.terms(sent_ns), timeout_s=RENEW_TIMEOUT_S)
            take_sample(self._clock, sent_ns, answer)
            self.answered(answer)
        except UnansweredError:
            pass  # a machine that stays silent is given up for that
        except LoadgenError as error:
            self._on_failure(error.message)


def take_sample(clock: ClockTrack, sent_ns: int, answer: object) -> None:
    """Take the machine's time in an answer, which is here now, to what was sent then.  Raises UnreadableError."""
    received_ns = time.monotonic_ns()
    with reading():
        clock.sample(sent_ns=sent_ns, theirs_ns=read_clock(answer), received_ns=received_ns)
