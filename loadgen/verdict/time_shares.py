"""Where the time of connections went, as shares that add up to 1; and which VMs are dead by them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadgen.measure.slot_time import are_known, total_ns

DEAD_BELOW = 0.01
"""A VM is dead if less than this share of the time that it could have used was spent in answered operations."""

DEAD_BYTES_PER_S = 100.0
"""A VM that sends more than this to each connection is not dead: a single long reply may fill the window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeShares:
    """The parts of connection time in a window, 0..1, as defined in :mod:`loadgen.measure.slot_time`.

    `absent` is 0 in an open loop, `idle` in a closed or paced loop.
    """

    service: float
    pacing: float
    lateness: float
    rest: float
    failed: float
    unfinished: float
    absent: float
    idle: float


def time_shares(
    tallies: NDArray[np.void], connections: int, measured_ns: int, *, open_loop: bool = False
) -> TimeShares | None:
    """The shares of `connections` in a window, from their tallies (TALLY_DTYPE); connections without a row are absent.

    Returns None without any time, and for records of versions that did not measure it.  The length of an interrupted
    window is known to a second only; if its parts exceed it, they are shares of their sum.
    """
    if not connections or not measured_ns or not are_known(tallies, open_loop=open_loop):
        return None
    used_ns = int(total_ns(tallies).sum())
    whole_ns = max(connections * measured_ns, used_ns)

    def share(name: str) -> float:
        return int(tallies[name].sum()) / whole_ns

    remainder = (whole_ns - used_ns) / whole_ns
    return TimeShares(
        service=share("service_ns"),
        pacing=share("pacing_ns"),
        lateness=share("lateness_ns"),
        rest=share("rest_ns"),
        failed=share("failed_ns"),
        unfinished=share("unfinished_ns"),
        absent=0.0 if open_loop else remainder,
        idle=remainder if open_loop else 0.0,
    )


def unaccounted_share(tallies: NDArray[np.void], connections: int, measured_ns: int) -> float | None:
    """The share of the connections' time in a closed or paced loop that no part has, or that two parts have.

    Returns None when it is not known, as for :func:`time_shares`.
    """
    if not connections or not measured_ns or not are_known(tallies):
        return None
    gaps_ns = np.abs(measured_ns - total_ns(tallies)).sum() + (connections - len(tallies)) * measured_ns
    return float(gaps_ns) / (connections * measured_ns)


def is_dead(time: TimeShares | None, bytes_per_s: float) -> bool | None:
    """Whether a VM answered next to nothing although operations were begun; None when not known.

    `bytes_per_s`: received by each connection, on average.  The time that a VM could have used is that of answered,
    failed and unfinished operations with their pacing and rests: lateness, absent and idle time are not the VM's.
    """
    if time is None:
        return None
    answered = time.service + time.pacing
    lost = time.failed + time.unfinished + time.rest
    return lost > 0 and answered < DEAD_BELOW * (answered + lost) and bytes_per_s < DEAD_BYTES_PER_S
