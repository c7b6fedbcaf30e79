"""Every threshold of a verdict, as data, with where it comes from.

The floor of a connection, and the shares that must be good and tolerable, are the user's and stand in
:class:`loadgen.model.bound.Bound`.  What is here is the same for every run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadgen.model.bound import Bound
from loadgen.model.target import Target
from loadgen.model.units import NS_PER_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The thresholds.

    About the servers, from SPECweb99's validity checks:

    * `max_error_share`: of a connection's, and of a class's, requests (coded there as 0.0105, for its rounding).
    * `min_conforming_share`: of the requested connections, in each iteration.
    * `mix_tolerance`: how far, relatively, the share of a class may be off (10 %, coded there as 10.5 %).
    * `mix_deviations`: a window too short to tell the mix that exactly may be off by so many binomial
      standard deviations.  Ours: SPECweb99's window of 1200 s has no need of it from 21 connections on.

    About the generator, ours.  They were set from measurements on two cores that engines shared with 16 servers
    or with busy loops (DESIGN.md, "Trust"): what harms a verdict and what does not is far apart there.

    * `max_lateness_ns`: of the 99th percentile of sent - due.  Up to 70 ms were seen on a host at 92 %, without
      harm; 600 ms and more where the engine was starved.
    * `max_good_part`: the same as a part of a time bound's good time, where that is less.
    * `late_operations`: so many late operations at least make a percentile: fewer are a hiccup of the machine.
    * `max_late_share`: of the connections' time that went by between due and sent: by so much the load was
      lighter than asked, and the connections slower.  Their slack is 20 %; seen without harm: 1 %.
    * `max_cpu_share`, `max_runnable_share`: of wall time that the engine ran, and that it ran *or waited for a
      core*.  An engine short of CPU is runnable all the time (seen: 0.99-1.00).  Waiting alone proves nothing:
      beside servers that are short of CPU themselves both together reach 0.78, and operations go out on time.
    * `max_neighbour_share`: of the time of the cores that engines may run on, used by processes that have no part
      in the run, or taken by the hypervisor.  An engine beside a busy loop may still send on time (seen: p99
      4-6 ms beside four of them), but then it measures a race for the core.  A quiet machine shows 0-3 %.
    * `max_open_lateness_ns`: of an open loop's operations that found a connection free: sent - due.  A quiet
      machine shows 1 ms, the step of the Python engine's timer.
    * `max_little_gap`: how far rate x mean response may be from the connections of a closed loop, relatively.
    * `max_still_share`: of a closed loop's connection time, spent in waits for the client that are longer than
      `max_open_lateness_ns`; and of an engine's time, that it stood still (Health.still_ns).  A busy client is late by
      less, and shows as CPU.
    * `max_fd_share`: of the limit of open files.
    * `max_start_skew_ns`: between the first and the last engine to begin, on any machine: half a percent of the
      shortest window that holds the longest operation.  Seen between machines: 0.2-3 ms.
    """

    max_error_share: float = 0.01
    min_conforming_share: float = 0.95
    mix_tolerance: float = 0.105
    mix_deviations: float = 3.0

    max_lateness_ns: int = 100 * NS_PER_MS
    max_good_part: float = 0.1
    late_operations: int = 4
    max_late_share: float = 0.05
    max_cpu_share: float = 0.90
    max_runnable_share: float = 0.90
    max_neighbour_share: float = 0.40
    max_open_lateness_ns: int = 20 * NS_PER_MS
    max_little_gap: float = 0.05
    max_still_share: float = 0.05
    max_fd_share: float = 0.90
    max_start_skew_ns: int = 100 * NS_PER_MS


RULES = Rules()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the run was asked to do, as far as judging it needs to know.

    `target_of` is the index into `targets` by global connection, so its length is the number of requested
    connections.  `kinds`, `groups` and `kind_shares` are the tape's.
    """

    targets: Sequence[Target]
    target_of: NDArray[np.int32]
    kinds: Sequence[str]
    groups: Sequence[str]
    kind_shares: Sequence[float]
    bound: Bound

    @property
    def connections(self) -> int:
        """All requested connections."""
        return len(self.target_of)
