"""The fork bomb: every process forks as often as it can.  It counts forks.

Its VM limits the processes.  When the kernel refuses a fork, a child ends, so that another one can take its place: the
bomb goes on forking, instead of standing still at its limit.  All processes are in one process group.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import struct
import time

from deploy.hogs.bounds import Bounds

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
_COUNT = struct.Struct("@q")
_REFUSED_S = 0.002
_libc = ctypes.CDLL(None)


def main() -> None:
    """Fork until the time is over."""
    bounds = Bounds(needs="pids")
    counter = mmap.mmap(-1, _COUNT.size)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel collects the children
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # and the orphans below this process
    root, told = os.getpid(), 0
    while not bounds.over:
        try:
            pid = os.fork()
        except OSError:
            if os.getpid() != root:
                os._exit(0)
            time.sleep(_REFUSED_S)
            pid = -1
        if pid == 0:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            bounds.arm()  # timers are not inherited
            counted = _COUNT.unpack_from(counter)[0]
            _COUNT.pack_into(counter, 0, counted + 1)  # two at once may count one: the sum is a lower bound
        elif os.getpid() == root:
            counted = _COUNT.unpack_from(counter)[0]
            bounds.did(counted - told)
            told = counted
    if os.getpid() != root:
        os._exit(0)


if __name__ == "__main__":
    main()
