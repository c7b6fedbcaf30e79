"""The hogs by name: the program of each, and how it is bounded.

To add a hog: write a program that keeps to :class:`deploy.hogs.bounds.Bounds`, add it to
:class:`loadgen.model.isolate.Hog` and here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from loadgen.model.isolate import Hog

PROGRAM = "hog"
"""The name of a hog's process and log in its VM."""

DISK_BYTES = 64 << 20
"""The size of the file that each disk hog writes again and again."""


@dataclass(frozen=True, slots=True)
class _Program:
    """The module of a hog; `amount` is what it takes at most at the same time, by the limits of its VM."""

    module: str
    amount: Callable[[Mapping[str, Any]], int] = lambda limits: 0


_PROGRAMS = {
    Hog.CPU: _Program("deploy.hogs.cpu"),
    Hog.FORK: _Program("deploy.hogs.fork"),
    Hog.MEMORY: _Program("deploy.hogs.memory", lambda limits: limits["memory_bytes"] * 5 // 4),
    Hog.DISK: _Program("deploy.hogs.disk", lambda limits: DISK_BYTES),
    Hog.NET: _Program("deploy.hogs.net"),
}


def command(hog: Hog, *, seconds: float, limits: Mapping[str, Any], to: str, forced: bool) -> tuple[str, ...]:
    """The program of a hog as a VM runs it: its name, then its command line.

    It ends after `seconds`.  `limits` are the limits that the kernel holds for its VM.  `to` is the address that the
    network hog floods.
    """
    found = _PROGRAMS[hog]
    words = ["--seconds", f"{seconds:g}", "--amount", str(found.amount(limits))]
    if to:
        words += ["--to", to]
    if forced:
        words.append("--forced")
    return (PROGRAM, sys.executable, "-P", "-m", found.module, *words)
