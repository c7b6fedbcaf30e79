"""A TCP relay that passes replies at a known rate: the server behind it is real, but its speed is known."""

from __future__ import annotations

import asyncio
import contextlib

from tests.support.tcp_relay import Relay

_OVERSHOOT_S = 0.02


class Throttle(Relay):
    """Relays 127.0.0.1:port to 127.0.0.1:upstream; each connection's replies pass evenly at `bps`."""

    def __init__(self, upstream: int, bps: float) -> None:
        super().__init__(upstream)
        self._bps = bps

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
            with contextlib.closing(up_writer):
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._requests(reader, up_writer))
                    both.create_task(self._replies(up_reader, writer))
        except* (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()

    async def _replies(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass replies like a line of `bps`: a byte leaves when all bytes before it have left; idle time gives no
        credit.

        Time that the sleeps overshoot is made up for; otherwise the line would be some per cent too slow.
        """
        loop = asyncio.get_running_loop()
        step = max(64, int(self._bps / 8 * 0.02))  # 20 ms of data
        free_at = loop.time()
        while data := await reader.read(step):
            if loop.time() - free_at > _OVERSHOOT_S:
                free_at = loop.time()
            free_at += len(data) * 8 / self._bps
            await asyncio.sleep(max(0.0, free_at - loop.time()))
            writer.write(data)
            await writer.drain()
        writer.write_eof()


class Lag:
    """A context that measures how late timers fire on this machine: `mean_s` is the mean."""

    def __init__(self) -> None:
        self._late_s: list[float] = []
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Lag:
        self._task = asyncio.create_task(self._measure())
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    @property
    def mean_s(self) -> float:
        return sum(self._late_s) / len(self._late_s)

    async def _measure(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            wanted = loop.time() + 0.02
            await asyncio.sleep(0.02)
            self._late_s.append(loop.time() - wanted)
