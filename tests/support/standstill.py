"""Watches this machine from the test's process: the moments in which nothing here ran although it was due."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

_STEP_S = 0.01
_LATE_S = 0.03
"""A thread that sleeps is woken within a few milliseconds, also beside the engines and servers of a run."""


@dataclass(slots=True)
class Watch:
    """Notes when a sleep of 10 ms took at least 30 ms longer: `late` are the ends, in seconds since 1970."""

    late: list[float] = field(default_factory=list)

    def start(self) -> Watch:
        """Watch until this process ends."""
        threading.Thread(target=self._watch, name="watch", daemon=True).start()
        return self

    def stood_still(self, document: dict[str, Any]) -> bool:
        """Whether this machine stood still for a moment during the run of a record, whose times are whole seconds."""
        begin, end = (datetime.fromisoformat(document[name]).timestamp() for name in ("started_at", "finished_at"))
        return any(begin <= at <= end + 1 for at in self.late)

    def _watch(self) -> None:
        before = time.monotonic()
        while True:
            time.sleep(_STEP_S)
            now = time.monotonic()
            if now - before > _STEP_S + _LATE_S:
                self.late.append(time.time())
            before = now


WATCH = Watch().start()
