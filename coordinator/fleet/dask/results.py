"""The results of one machine on their way to the coordinator: in heartbeats, or fetched from its spool."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from coordinator.fleet.dask.asking import Asker, UnreadableError, reading
from coordinator.fleet.stream import Stream
from loadgen.agent.chunk import MAX_CHUNK_BYTES, Chunk
from loadgen.agent.dask import calls
from loadgen.measure.wire import read_int
from loadgen.model.errors import FleetError

_TIMEOUT_S = 10.0
_TRIES = 3


class Results:
    """The copy of a machine's spool.  `ask` asks the machine; `turn` limits how many spools are fetched at once.

    `on_frame` receives each frame once, in order, as plain data.  It may raise ValueError.
    """

    def __init__(
        self, ask: Asker, run_id: str, name: str, *, turn: asyncio.Semaphore, on_frame: Callable[[Any, bool], None]
    ) -> None:
        self.stream = Stream()
        self._ask = ask
        self._run_id = run_id
        self._name = name
        self._turn = turn
        self._on_frame = on_frame

    def take(self, chunk: Chunk, *, together: bool = False) -> None:
        """Add the new bytes of a chunk.  Raises UnreadableError.

        `together` is passed to `on_frame`: snapshots may be read together with those of other machines.
        """
        with reading():
            for frame in self.stream.take(chunk):
                self._on_frame(frame, together)

    async def fetch(self, spool: str) -> None:
        """Fetch the present content of the spool in directory `spool`.

        Raises UnreadableError if the data cannot be read, another LoadgenError if the machine does not answer.
        """
        tries = 0
        while tries < _TRIES:
            wanted = self.stream.received
            async with self._turn:
                answer = await self._ask(
                    calls.read_spool, self._run_id, self._name, wanted, MAX_CHUNK_BYTES, spool, timeout_s=_TIMEOUT_S
                )
            with reading():
                self.stream.announce(read_int(answer, "total_bytes"))
                chunk = Chunk.from_wire(answer)
            self.take(chunk)
            if not self.stream.missing_bytes:
                return
            tries = 0 if self.stream.received > wanted else tries + 1
        raise UnreadableError(ValueError(f"byte {wanted} of its results does not arrive intact"))

    async def finish(self, spool: str) -> None:
        """Have the machine write nothing more, and fetch everything.  Raises LoadgenError if something is missing."""
        answer = await self._ask(calls.finish, self._run_id, timeout_s=_TIMEOUT_S)
        with reading():
            total_bytes = read_int(answer, "bytes")
        self.stream.announce(total_bytes)
        if self.stream.missing_bytes:
            await self.fetch(spool)
        if self.stream.received != total_bytes:
            raise FleetError(f"it has {total_bytes} bytes of results, but {self.stream.received} were received")
