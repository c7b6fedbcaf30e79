"""Virtual machines in tests: the mark of tests that need QEMU and a kernel."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deploy.guest.boot import find_tool
from deploy.guest.kernel import find_kernel
from deploy.guest.machine import find_qemu
from loadgen.model.errors import PlanError
from tests.support.vms import descendants


def _why_not() -> str:
    try:
        find_qemu(os.uname().machine)
        find_kernel()
        find_tool("mke2fs")
    except PlanError as error:
        return error.message
    return ""


_REASON = _why_not()

needs_qemu = pytest.mark.skipif(bool(_REASON) and os.environ.get("CI") != "true", reason=_REASON or "QEMU is here")


def qemus_below(pid: int) -> list[int]:
    """Return the processes of QEMU below a process."""
    return [one for one in descendants(pid) if name_of(one).startswith("qemu-system")]


def name_of(pid: int) -> str:
    """Return the name of a process, "" when it has ended."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
