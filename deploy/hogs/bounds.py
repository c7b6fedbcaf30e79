"""The bounds of a hog: a time after which it ends in any case, and the cgroup without which it does not run."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

_GRACE_S = 1.0
_TELL_S = 0.25
_REFUSED = 3


class Bounds:
    """The bounds of this process, from its arguments; counts what the hog does, and prints that now and then.

    `--seconds` is the time; `--amount` bounds what the hog takes at the same time, in its own unit.  `--forced` lets it
    run without a cgroup of loadgen, but not if `needs` names a controller whose limit it needs.
    """

    def __init__(self, needs: str = "") -> None:
        parser = argparse.ArgumentParser()
        parser.add_argument("--seconds", type=float, required=True)
        parser.add_argument("--amount", type=int, default=0)
        parser.add_argument("--to", default="")
        parser.add_argument("--forced", action="store_true")
        given = parser.parse_args()
        why = why_unconfined(Path("/proc/self/cgroup").read_text(), needs, forced=given.forced)
        if why:
            sys.stderr.write(f"{why}\n")
            sys.exit(_REFUSED)
        self.amount: int = given.amount
        self.to: str = given.to
        self._did = 0
        seconds: float = given.seconds
        self._ends_s = time.monotonic() + seconds
        self._tells_s = 0.0
        self.arm()

    def arm(self) -> None:
        """Let the kernel end this process a second after its time, whatever it does; a forked child calls this, too."""
        left_s = max(0.0, self._ends_s - time.monotonic())
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, left_s + _GRACE_S)

    @property
    def over(self) -> bool:
        """Whether the time has ended."""
        return time.monotonic() >= self._ends_s

    def did(self, more: int) -> None:
        """Count what the hog has done; prints the sum four times a second."""
        self._did += more
        now_s = time.monotonic()
        if now_s >= self._tells_s:
            self._tells_s = now_s + _TELL_S
            sys.stdout.write(f"did {self._did}\n")
            sys.stdout.flush()


def why_unconfined(cgroups: str, needs: str, *, forced: bool) -> str:
    """Why a hog in these cgroups (the text of /proc/PID/cgroup) must not run; "" if it may.

    The controller `needs` must limit it, forced or not; the groups of loadgen have the limits of the plan.
    """
    groups = [line.split(":", 2)[1:] for line in cgroups.splitlines() if line.count(":") >= 2]
    ours = [names.split(",") for names, path in groups if "/loadgen/" in f"{path}/"]
    if needs and not any(needs in names or names == [""] for names in ours):
        return f"this hog runs only in a cgroup of loadgen that limits it ({needs}), and it is in none"
    if not ours and not forced:
        return "this hog runs only in a VM of loadgen that confines it"
    return ""


def did_in(log: str) -> int:
    """The sum that a hog printed last; -1 when it printed none."""
    told = [line.split()[1] for line in log.splitlines() if line.startswith("did ") and line.count(" ") == 1]
    return int(told[-1]) if told and told[-1].isdecimal() else -1
