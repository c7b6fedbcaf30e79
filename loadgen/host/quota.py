"""The CPU quota of this process's control groups, and how often it stopped the process (cgroups v1, v2 and hybrid)."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from loadgen.host.groups import group_directories


@dataclass(frozen=True, slots=True)
class Periods:
    """Enforcement periods of a CPU quota so far, and those in which the quota was used up.

    `stopped_ns`: how long it kept tasks of the group from running.
    """

    all: int
    throttled: int
    stopped_ns: int = 0


def read_periods(proc: Path = Path("/proc")) -> dict[Path, Periods] | None:
    """The periods of each control group with a CPU quota that this process is in; its parents have quotas, too.

    Empty without a quota.  None when the kernel does not report control groups, or they are not mounted.
    """
    try:
        directories = group_directories("cpu", proc)
    except (OSError, ValueError):
        return None
    found: dict[Path, Periods] = {}
    readable = False
    for directory in directories:
        with contextlib.suppress(OSError, ValueError):
            text = (directory / "cpu.stat").read_text()
            readable = True
            if (periods := parse_cpu_stat(text)) is not None:
                found[directory] = periods
    return found if readable else None


def throttled_share(before: dict[Path, Periods] | None, after: dict[Path, Periods] | None) -> float | None:
    """The share of periods in which the quota of a group was used up, for the worst group; None when not known."""
    if before is None or after is None:
        return None
    shares = [0.0]
    for group, now in after.items():
        was = before.get(group, Periods(0, 0))
        if now.all > was.all:
            shares.append((now.throttled - was.throttled) / (now.all - was.all))
    return max(shares)


def parse_cpu_stat(text: str) -> Periods | None:
    """The periods in the text of cpu.stat; None when the group has no quota.  Raises ValueError if it is malformed."""
    values = dict(line.split() for line in text.splitlines())
    if "nr_periods" not in values:
        return None
    # Version 1 counts in ns, version 2 in us.
    stopped_ns = int(values.get("throttled_time", 0)) or 1000 * int(values.get("throttled_usec", 0))
    return Periods(int(values["nr_periods"]), int(values["nr_throttled"]), stopped_ns)
