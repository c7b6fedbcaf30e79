"""Every threshold of a tape run's verdict, as data, with its source.

The rate floor of a connection, and the shares that must be good and tolerable, are chosen by the user:
:class:`loadgen.model.bound.Bound`.  The thresholds in this module are the same for every run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadgen.model.bound import Bound
from loadgen.model.target import Target
from loadgen.model.units import NS_PER_MS
from loadgen.verdict.sessions import Sessions


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The thresholds of tape runs.

    About the servers, from SPECweb99's validity checks:

    * `max_error_share`: share of failed requests, per connection, and per class on all VMs and on each VM (SPECweb99's
      code has 0.0105, to allow for its rounding, and judges each client machine).
    * `min_conforming_share`: share of the requested connections that must conform in each iteration, on all VMs
      (SPECweb99) and on each VM (ours: SPECweb99 has one server).
    * `mix_tolerance`: relative deviation of a class from its intended share (10.5 %, as in SPECweb99's code; its
      rules say 10 %); also of the TCP connections from their intended number.
    * `mix_deviations`: deviation that a window with few requests may have, in standard deviations of a normal
      distribution, or with the same chance of another one.  This rule is ours: SPECweb99's window of 1200 s does not
      need it from 21 connections on.

    About the load generator, all ours.  They come from measurements on two cores that engines shared with 16 servers or
    with busy loops (DESIGN.md, "Trust"), where harmful and harmless values lie far apart:

    * `max_lateness_ns`: 99th percentile of sent - due.  Harmless: up to 70 ms on a host at 92 % CPU.  With a starved
      engine: 600 ms and more.
    * `max_good_part`: the same limit as a share of a time bound's good time; the lower limit applies.
    * `late_operations`: minimum number of late operations; fewer are a hiccup of the machine.
    * `max_late_share`: share of connection time between due and sent.  By that share the load is lighter than
      requested, and the connections are slower.  Their slack is 20 %; harmless in measurements: 1 %.
    * `max_slack_part`: share of the slack of a rate bound (line speed over floor, minus 1) by which lateness may
      lengthen the time in operations.  On ideal servers, if each operation is late by the same time, 1 % of the
      connections miss a floor of 80 % of the line at 101 ms, of 95 % at 37 ms, of 97.5 % at 26 ms; this limit lies at
      55, 26 and 20 ms.
    * `least_late_share`: the least value of that limit, for floors at the line speed.  Quiet machine: below 0.02 %.
    * `max_cpu_share`, `max_runnable_share`: share of wall time that an engine ran, and that it ran *or waited for a
      core*.  An engine without enough CPU is always runnable (measured: 0.99-1.00).  Waiting alone proves nothing:
      beside servers without enough CPU, both shares add up to 0.78 while operations are sent in time.
    * `max_neighbour_share`: share of the cores on which an engine ran that was used by processes without a part in the
      run, or taken by the hypervisor.  An engine beside a busy loop may still send in time (measured: p99 of 4-6 ms
      beside four loops), but then the run measures a race for the core.  Quiet machine: 0-3 %.  A busy loop takes at
      least a quarter of a core that it shares with an engine, its server and the coordinator.
    * `max_throttled_share`: share of the periods of a CPU quota in which it was used up.  Each such period stops all
      engines of the machine for a part of it, like `max_still_share`.
    * `max_open_lateness_ns`: sent - due of operations in an open loop that found a free connection.  Quiet machine:
      1 ms, the timer step of the Python engine.
    * `max_still_share`: share of a closed loop's connection time in waits for the client longer than
      `max_open_lateness_ns`; also the share of time that an engine stood still (Health.still_ns).  A busy client adds
      shorter waits, and shows in its CPU.
    * `max_unaccounted_share`: share of the connection time of a closed or paced loop that no part of an operation has
      (loadgen.measure.slot_time).  Whatever the servers do, each moment is a part of one.  Quiet machine: 0.00 %.
    * `max_idle_lateness`: share of a closed loop's connection time between due and sent beyond the share of time that
      the engine worked.  A connection can only wait for an engine that works, unless something keeps the engine from
      its core.  Measured at full speed with 1 to 256 connections: 9 to 68 % below the engine's CPU share without
      neighbours; 13 to 28 % above it beside one or two busy loops, which took 40 to 70 % of the rate.
    * `max_canary_ns`, `max_canary_share`, `max_closed_canary_share`: what the client may add to a median response time,
      the larger one of a time and of a share of what is measured, in open and in closed loops.  Measured on a quiet
      machine: 0.1-0.3 ms.  `min_canaries`: the number of requests from which on a canary counts.
    * `max_fd_share`: share of the limit of open files.
    * `max_start_skew_ns`: time between the first and the last engine to begin, on any machine: half a percent of the
      shortest window that holds the longest operation.  Measured between machines: 0.2-3 ms.
    """

    max_error_share: float = 0.01
    min_conforming_share: float = 0.95
    mix_tolerance: float = 0.105
    mix_deviations: float = 3.0

    max_lateness_ns: int = 100 * NS_PER_MS
    max_good_part: float = 0.1
    late_operations: int = 4
    max_late_share: float = 0.05
    max_slack_part: float = 0.25
    least_late_share: float = 0.001
    max_cpu_share: float = 0.90
    max_runnable_share: float = 0.90
    max_neighbour_share: float = 0.20
    max_throttled_share: float = 0.05
    max_open_lateness_ns: int = 20 * NS_PER_MS
    max_still_share: float = 0.05
    max_idle_lateness: float = 0.10
    max_canary_ns: int = 2 * NS_PER_MS
    max_canary_share: float = 0.5
    max_closed_canary_share: float = 2.0
    min_canaries: int = 20
    max_unaccounted_share: float = 0.05
    max_fd_share: float = 0.90
    max_start_skew_ns: int = 100 * NS_PER_MS


RULES = Rules()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The requested load of a run, as far as its verdict needs it.

    `target_of`: index into `targets` by global connection number; its length is the number of requested connections.
    `kinds`, `groups`, `kind_shares`: those of the tape.  `connects`: how many operations each TCP connection should
    carry; None when any number is right.
    """

    targets: Sequence[Target]
    target_of: NDArray[np.int32]
    kinds: Sequence[str]
    groups: Sequence[str]
    kind_shares: Sequence[float]
    bound: Bound
    connects: Sessions | None = None
    unmixed: Sequence[int] = ()

    def mixed(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """The number of operations of each kind, without those of unmixed groups; `counts`: (kinds, groups, states)."""
        found: NDArray[np.int64] = np.delete(counts, list(self.unmixed), axis=1).sum(axis=(1, 2))
        return found

    @property
    def connections(self) -> int:
        """The number of requested connections, over all targets."""
        return len(self.target_of)
