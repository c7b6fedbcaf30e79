"""Limits how many connections are set up at once: sshd refuses some when many are (MaxStartups 10:30:100)."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Hashable, Iterator

_AT_ONCE = 64
AT_ONE_SSHD = 6
"""Of other people's connections, four more are free at an sshd with its default settings."""

_FIRST_PAUSE_S = 0.4
_PAUSES = 5


class Gates:
    """One gate for each sshd, or jump host, and one for all together."""

    def __init__(self) -> None:
        self._all = asyncio.Semaphore(_AT_ONCE)
        self._each: dict[Hashable, asyncio.Semaphore] = {}

    @contextlib.asynccontextmanager
    async def passing(self, sshd: Hashable) -> AsyncIterator[None]:
        """Inside, one of the connections to `sshd` is set up."""
        each = self._each.setdefault(sshd, asyncio.Semaphore(AT_ONE_SSHD))
        async with each, self._all:
            yield


def pauses_s() -> Iterator[float]:
    """The pauses between attempts, in seconds: 9 s together, each of random length so that hosts spread."""
    for number in range(_PAUSES):
        yield _FIRST_PAUSE_S * 2 ** min(number, 3) * random.uniform(0.5, 1.5)
