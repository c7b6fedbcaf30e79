"""The CPU hog: a loop.  It counts its CPU time in milliseconds."""

from __future__ import annotations

import time

from deploy.hogs.bounds import Bounds

_TURNS = 20_000


def main() -> None:
    """Use one core until the time is over."""
    bounds = Bounds()
    before_ns = time.process_time_ns()
    while not bounds.over:
        for _ in range(_TURNS):
            pass
        now_ns = time.process_time_ns()
        bounds.did((now_ns - before_ns) // 1_000_000)
        before_ns += (now_ns - before_ns) // 1_000_000 * 1_000_000


if __name__ == "__main__":
    main()
