"""The canaries of one load machine: starts their responder, and compares what it saw with what the engines saw.

A responder that cannot be started, dies or stops costs the run nothing: what the canaries measured is unknown then.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadgen.agent.children import EngineChild, start_child
from loadgen.engine.api import Segment
from loadgen.engine.canary import HOST
from loadgen.host import frames
from loadgen.measure.canary import TRUTH_DTYPE, CanariesHeard, compare
from loadgen.measure.record import RECORD_DTYPE

_ANSWER_S = 0.3  # the responder needs a millisecond
_MAX_FRAME_BYTES = 1 << 28
_BACKLOG = 4


class Canaries:
    """The responder of `machine`, with a port for each engine.  `mark` appears in its command line."""

    def __init__(self, machine: str, mark: str) -> None:
        self._machine = machine
        self._mark = mark
        self._workers: tuple[str, ...] = ()
        self._listening: list[socket.socket] = []  # until the responder has them
        self._child: EngineChild | None = None
        self._why = ""
        self._records: defaultdict[str, list[NDArray[np.void]]] = defaultdict(list)

    def listen(self, workers: Sequence[str]) -> Mapping[str, int]:
        """Open a port for the canary of each of `workers`, and return the ports; empty if that is impossible.

        The responder is started later, by :meth:`start`, so that engines get ready at the same time.
        """
        self._workers = tuple(workers)
        with contextlib.ExitStack() as made:
            try:
                for _ in workers:
                    server = made.enter_context(socket.create_server((HOST, 0), backlog=_BACKLOG))
                    self._listening.append(server)
            except OSError as error:
                self._listening = []
                self._why = _cannot(error)
                return {}
            made.pop_all()
        return {worker: one.getsockname()[1] for worker, one in zip(workers, self._listening, strict=True)}

    async def start(self) -> None:
        """Start the responder on the ports, if there are any."""
        listening, self._listening = self._listening, []
        if not listening:
            return
        fds = [one.fileno() for one in listening]
        try:
            with contextlib.ExitStack() as ours:  # the responder alone listens: its end refuses connections
                for one in listening:
                    ours.enter_context(one)
                process = start_child("loadgen.agent.responder", ",".join(map(str, fds)), self._mark, pass_fds=fds)
            self._child = await EngineChild.of(process)
        except OSError as error:
            self._why = _cannot(error)

    def take(self, worker: str, records: bytes) -> None:
        """Keep records (RECORD_DTYPE) of the canary of `worker`.  Raises ValueError if they are malformed."""
        self._records[worker].append(np.frombuffer(records, dtype=RECORD_DTYPE))

    async def report(self, segment: Segment) -> CanariesHeard | None:
        """What the canaries measured in the window of `segment`, which has ended; None without canaries."""
        if not self._workers:
            return None
        records, self._records = self._records, defaultdict(list)
        truths = await self._ask()
        if truths is None:
            return CanariesHeard(machine=self._machine, segment=segment.index, why=self._why)
        window_ns = segment.window_start_ns, segment.window_end_ns
        seen = await asyncio.to_thread(
            lambda: [
                compare(worker, records[worker], [truth], window_ns=window_ns)
                for worker, truth in zip(self._workers, truths, strict=True)
            ]
        )
        return CanariesHeard(machine=self._machine, segment=segment.index, engines=tuple(seen))

    async def close(self) -> None:
        """End the responder, and close what it did not get.  Idempotent."""
        while self._listening:
            self._listening.pop().close()
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            await child.wait()
            child.close()

    async def _ask(self) -> list[NDArray[np.void]] | None:
        """The truth for each engine since the last call; None, and `_why`, if the responder does not answer."""
        child = self._child
        if child is None:
            return None
        child.send(b".")
        answer: dict[str, Any] | None = None
        self._why = "the responder sent something unreadable"
        try:
            async with asyncio.timeout(_ANSWER_S):
                answer = await frames.receive(child.stdout, _MAX_FRAME_BYTES)
            if answer is not None:
                return [np.frombuffer(part, dtype=TRUTH_DTYPE) for part in self._parts(answer)]
            self._why = "the responder has ended"
        except TimeoutError:
            self._why = "the responder did not answer"
        except (frames.FrameError, ValueError, KeyError, TypeError):
            pass
        await self.close()  # a later answer could be taken for that of another window
        return None

    def _parts(self, answer: Mapping[str, Any]) -> list[bytes]:
        parts: list[bytes] = answer["truth"]
        if len(parts) != len(self._workers):
            raise ValueError("the responder answers for another number of engines")
        return parts


def _cannot(error: OSError) -> str:
    return f"the responder cannot be started: {error.strerror}"
