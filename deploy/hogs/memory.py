"""The memory hog: touches more memory than its VM may have, again and again.  It counts touched bytes.

A child touches the memory and is what the kernel kills first; then the next child does the same.  The amount is
bounded, so that a hog cannot take much more than the limit of its VM even if that limit did not work.
"""

from __future__ import annotations

import mmap
import os
import time
from pathlib import Path

from deploy.hogs.bounds import Bounds

_STEP_BYTES = 1 << 20
_PAUSE_S = 0.1
_HOLD_S = 0.5


def main() -> None:
    """Touch memory until the time is over."""
    bounds = Bounds(needs="memory")
    while not bounds.over:
        told, tell = os.pipe()
        pid = os.fork()
        if pid == 0:
            bounds.arm()
            _touch(bounds.amount, tell)
            os._exit(0)
        os.close(tell)
        while said := os.read(told, 4096):
            bounds.did(len(said) * _STEP_BYTES)
        os.close(told)
        os.waitpid(pid, 0)
        time.sleep(_PAUSE_S)


def _touch(amount_bytes: int, tell: int) -> None:
    """Touch memory piece by piece, tell each piece by one byte, and hold all of it for a moment."""
    Path("/proc/self/oom_score_adj").write_text("1000")  # this process, and not a server of the VM
    memory = mmap.mmap(-1, amount_bytes)
    for at in range(0, amount_bytes, mmap.PAGESIZE):
        memory[at] = 1
        if at % _STEP_BYTES == 0:
            os.write(tell, b".")
    time.sleep(_HOLD_S)


if __name__ == "__main__":
    main()
