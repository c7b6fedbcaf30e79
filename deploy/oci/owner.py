"""Labels of containers: which process made them, and whether it still runs."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from deploy.proc import start_ticks

RUN, VM, OWNER, PLACE = "loadgen.run", "loadgen.vm", "loadgen.owner", "loadgen.place"


def labels() -> dict[str, str]:
    """Labels for the containers of one run of this process."""
    return {
        RUN: secrets.token_hex(6),
        OWNER: f"{os.getpid()}-{start_ticks(os.getpid())}",
        PLACE: _place(),
    }


def is_leftover(found: Mapping[str, str]) -> bool:
    """Whether labels are those of a process of this machine and PID namespace that has ended."""
    pid, _, ticks = found.get(OWNER, "").partition("-")
    ours = found.get(PLACE) == _place() and pid.isdecimal() and ticks.isdecimal()
    return ours and start_ticks(int(pid)) != int(ticks)


def _place() -> str:
    """This boot of this machine, and this PID namespace: pids of others mean nothing here."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
