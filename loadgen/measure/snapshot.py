"""What one worker saw in one interval: a value that merges and that is idempotent to resend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadgen.measure.histogram import Histogram


@dataclass(frozen=True, slots=True)
class Cell:
    """The operations of one window against one target that ended in the interval.

    Arrays are int64: `outcomes` by Outcome; `counts` of shape (kinds, groups, 3): ok, bad and cut
    operations by the tape's kind and group.  `bytes` is all that was received, errors included.
    The histograms hold ok operations only, in nanoseconds; `lateness` holds all that were sent.
    """

    outcomes: NDArray[np.int64]
    counts: NDArray[np.int64]
    good: int
    tolerable: int
    bytes: int
    connects: int
    response: Histogram
    service: Histogram
    lateness: Histogram


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What the engine process itself did in the interval: the evidence on whether it may be trusted.

    `runqueue_ns` is the time that the process was runnable but waited for a core (/proc/self/schedstat);
    -1 where the kernel does not say.
    """

    wall_ns: int
    cpu_ns: int
    runqueue_ns: int
    open_fds: int
    fd_limit: int
    sockets_time_wait: int
    active_connections: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One worker's interval.

    `interval` counts seconds since the start of the run, by when operations *ended*, so a snapshot is
    complete when it is made.  `cells` is keyed by (window, target index); window -1 is unjudged time.
    `tallies` has TALLY_DTYPE, at most one row a (window, connection).
    """

    worker: str
    interval: int
    cells: Mapping[tuple[int, int], Cell]
    tallies: NDArray[np.void]
    health: Health
