"""The scheduler of this machine's kernel."""

from __future__ import annotations

import platform
import re
from pathlib import Path

_EEVDF_SINCE = (6, 6)


def scheduler(root: Path = Path("/"), release: str = "") -> str:
    """The kernel's scheduler and what changes its shares, such as `EEVDF, autogroup on`."""
    loaded = _read(root / "sys/kernel/sched_ext/root/ops")
    numbers = re.match(r"(\d+)\.(\d+)", release or platform.release())
    version = (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
    name = f"sched_ext {loaded}" if loaded else "EEVDF" if version >= _EEVDF_SINCE else "CFS"
    autogroup = {"1": "autogroup on", "0": "autogroup off"}.get(_read(root / "proc/sys/kernel/sched_autogroup_enabled"))
    return f"{name}, {autogroup}" if autogroup else name


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
