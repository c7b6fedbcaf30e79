"""What a run against many servers costs the coordinator itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

MANY = 40
"""Up to so many servers the cost is not worth a note."""


class OwnCost:
    """Measures the time and the CPU time of this process inside the context; engines are other processes."""

    def __init__(
        self, clock_s: Callable[[], float] = time.monotonic, cpu_s: Callable[[], float] = time.process_time
    ) -> None:
        self._clock_s = clock_s
        self._cpu_s = cpu_s
        self.took_s = 0.0
        self.used_s = 0.0

    def __enter__(self) -> Self:
        self.took_s, self.used_s = -self._clock_s(), -self._cpu_s()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.took_s += self._clock_s()
        self.used_s += self._cpu_s()

    def notes(self, what: str, servers: int) -> list[str]:
        """One sentence with both, after the words `what`; none for few servers."""
        if servers <= MANY or self.took_s <= 0:
            return []
        return [f"{what} took {self.took_s:.1f} s, and {self.used_s / self.took_s:.0%} of a core in the coordinator"]
