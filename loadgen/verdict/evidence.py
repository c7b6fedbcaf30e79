"""Evidence about the load generator of a tape run: the input of every check in :mod:`loadgen.verdict.checks.tape`."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loadgen.measure.cells import Cell
from loadgen.measure.histogram import Histogram
from loadgen.measure.snapshot import Health
from loadgen.schedule.timings import Timings
from loadgen.verdict.canary import CanaryRow
from loadgen.verdict.rules import RULES, Asked, Rules


class Loop(enum.Enum):
    """The rule that decides when an operation is due.  Some checks apply to one kind of loop only."""

    PACED = "paced"  # closed loop; each connection receives at its line speed (`loadgen spec`)
    CLOSED = "closed"  # each connection starts its next operation when the one before it ends
    OPEN = "open"  # operations are due on a schedule that does not depend on the replies


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerEvidence:
    """One engine process's measurements of itself in the judged windows.

    `connections`: how many it plays.  `judged_ns`: total length of the judged windows.  `operations`: how many it
    issued in them.  `lateness`: sent - due of each operation sent.  `health`: one entry per judged interval of 1 s, so
    the entries' `wall_ns` add up to about `judged_ns`.  `unaccounted_share`: share of its connections' time in complete
    windows that is no part of any operation (loadgen.verdict.time_shares); None when not known, and for a lost worker.
    """

    worker: str
    connections: int
    judged_ns: int
    operations: int
    lateness: Histogram
    health: Sequence[Health]
    unaccounted_share: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PortEvidence:
    """Ephemeral ports of one load machine.

    `available`: ports in the kernel's range, times the usable source addresses.  `peak_connects`: by target index, the
    most connections opened to that target within the time that a closed connection keeps its port
    (`Ledger.peak_connects`): 60 s of TIME_WAIT, or 1 s where the kernel may reuse the port (tcp_tw_reuse).
    """

    machine: str
    available: int
    peak_connects: Mapping[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class NeighbourEvidence:
    """What a load machine took from its engines in one segment: CPU on their cores, and time without quota.

    `share`: of the time of the cores of the engine that was disturbed most, 0..1; None when not known.  `most`: the
    process that used the most.  Servers on that machine that listen on the targets' ports are not counted.
    `throttled`: share of the periods of the machine's CPU quota in which it was used up; None when not known.
    """

    machine: str
    share: float | None
    most: str
    throttled: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StartEvidence:
    """The differences between the start times of several machines' workers in one segment.

    `skew_ns`: from worker `first` to worker `last`.  `error_ns`: uncertainty of `skew_ns`, the clock errors of both
    machines added up.
    """

    skew_ns: int
    error_ns: int
    first: str
    last: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustEvidence:
    """Everything that decides whether the load generator of a tape run can be trusted.

    One value is evidence on one window, or on several taken together.  `window`: operations of these windows.
    `whole`: operations of the whole run, also those outside of any window.  `measured_ns`: total length of the
    windows.  `ports` is empty where the kernel does not report its port range, `neighbours` where other processes were
    not observed, `starts` for a single machine.  `timings`: those of the tape; None when they are not known.
    `line_bps`: line speed of a connection; 0 when connections are not paced.
    `canaries`: a row for each engine and window; empty for a run without canaries.  `emulated_vms`: how many VMs had an
    emulated CPU.
    """

    loop: Loop
    asked: Asked
    workers: Sequence[WorkerEvidence]
    whole: Cell
    window: Cell
    measured_ns: int
    ports: Sequence[PortEvidence] = ()
    neighbours: Sequence[NeighbourEvidence] = ()
    starts: Sequence[StartEvidence] = ()
    timings: Timings | None = None
    line_bps: int = 0
    canaries: Sequence[CanaryRow] = ()
    emulated_vms: int = 0
    rules: Rules = RULES
