"""What the kernel counted for a VM in a measured window, and what of it explains that the VM did not conform.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadgen.measure.vm_second import COLUMNS

THROTTLED = "throttled"
OUT_OF_MEMORY = "OOM-killed"
PIDS_LIMIT = "pids limit"
QUEUE_FULL = "listen queue overflowed"
DROPPED = "connections dropped"
RETRANSMITS = "retransmits"
WAITED = "waited for a core"
STOLEN = "hypervisor"

FROM_PERCENT = {THROTTLED: 10.0, RETRANSMITS: 1.0, WAITED: 20.0, STOLEN: 5.0}
"""From this share on, a cause is told; every single event of the other causes is told."""

COUNTED_BY = {
    OUT_OF_MEMORY: "oom_kills",
    PIDS_LIMIT: "pids_refused",
    QUEUE_FULL: "listen_overflows",
    DROPPED: "listen_drops",
}
"""The counter of each cause whose value is a number of events."""

_TIMES = {1: "once", 2: "twice"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Something that held a VM: `what`, a name from above.

    `value`: percent for the causes in FROM_PERCENT, else the number of events.  `at_least`: it was not read in some
    seconds.  `spans`: the seconds of the run (first, last) in which it was so.
    """

    what: str
    value: float
    at_least: bool = False
    spans: tuple[tuple[int, int], ...] = ()

    @property
    def phrase(self) -> str:
        """The same in words."""
        return _PHRASES[self.what](self)


@dataclass(frozen=True, slots=True, kw_only=True)
class VmCounters:
    """The counters of one VM in one measured window; None: not read.

    `read_s`: the seconds of the window that lie between two samples.  The other numbers are those of
    :mod:`loadgen.measure.vm_second` (`memory_bytes` and `pids`: the most at the end of a second).  `at_least`: the
    names of those that were not read in some of these seconds.  `stolen_share`: share (0..1) of the CPU time of the
    VM's host that its hypervisor took.  `pss_before_bytes`, `pss_after_bytes`: proportional set size of its processes
    before and after the traffic of the run.  `held`: what held the VM, whether it conforms or not.
    """

    read_s: float
    cpu_ns: int | None = None
    waited_ns: int | None = None
    periods: int | None = None
    throttled_periods: int | None = None
    throttled_ns: int | None = None
    oom_kills: int | None = None
    pids_refused: int | None = None
    listen_overflows: int | None = None
    listen_drops: int | None = None
    segments_sent: int | None = None
    retransmits: int | None = None
    memory_bytes: int | None = None
    pids: int | None = None
    stolen_share: float | None = None
    pss_before_bytes: int | None = None
    pss_after_bytes: int | None = None
    at_least: tuple[str, ...] = ()
    held: tuple[Held, ...] = ()


def causes(
    numbers: NDArray[np.int64], wall_ns: int, stolen_ns: int, core_ns: int
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """(cause, its value for each VM) for counters of some time, most important first; 0 where it did not hold the VM.

    `numbers`: a row for each of COLUMNS.  The rest: see VmSecond.
    """
    rows = dict(zip(COLUMNS, numbers.astype(np.float64), strict=True))
    known = {name: np.maximum(row, 0.0) for name, row in rows.items()}
    yield OUT_OF_MEMORY, known["oom_kills"]
    yield PIDS_LIMIT, known["pids_refused"]
    throttled = _percent(known["throttled_periods"], known["periods"], THROTTLED)
    yield THROTTLED, throttled
    yield QUEUE_FULL, known["listen_overflows"]
    yield DROPPED, np.where(known["listen_overflows"] > 0, 0.0, known["listen_drops"])
    yield RETRANSMITS, _percent(known["retransmits"], known["segments_sent"], RETRANSMITS)
    # A thread that its quota keeps from running waits, too: that is told as throttling.
    waited = _percent(known["waited_ns"], np.full(numbers.shape[1], float(wall_ns)), WAITED)
    yield WAITED, np.where(throttled > 0, 0.0, waited)
    stolen = 100 * stolen_ns / core_ns if stolen_ns >= 0 and core_ns > 0 else 0.0
    yield STOLEN, np.full(numbers.shape[1], stolen if stolen >= FROM_PERCENT[STOLEN] else 0.0)


def _percent(part: NDArray[np.float64], whole: NDArray[np.float64], cause: str) -> NDArray[np.float64]:
    share = 100 * part / np.maximum(whole, 1)
    return np.where((whole > 0) & (share >= FROM_PERCENT[cause]), share, 0.0)


def _share(text: str) -> Callable[[Held], str]:
    return lambda held: text.format(f"{held.value:.3g} %" if held.value < 99.5 else f"{held.value:.0f} %")


def _count(text: str) -> Callable[[Held], str]:
    return lambda held: text.format(f"{'at least ' * held.at_least}{held.value:,.0f}", s="s" * (held.value != 1))


def _times(held: Held) -> str:
    if held.at_least:
        return f"at least {held.value:,.0f} time{'s' * (held.value != 1)}"
    return _TIMES.get(int(held.value), f"{held.value:,.0f} times")


def _waited(held: Held) -> str:
    """All its threads are added up, so the share may be more than the whole time."""
    if held.value < 99.5:
        return _share("its threads waited for a core for {} of the time")(held)
    return f"on average, {held.value / 100:.1f} of its threads were waiting for a core"


_PHRASES: dict[str, Callable[[Held], str]] = {
    OUT_OF_MEMORY: lambda held: f"OOM-killed {_times(held)}",
    PIDS_LIMIT: _count("pids limit reached ({} fork{s} refused)"),
    THROTTLED: _share("throttled in {} of the periods of its CPU quota"),
    QUEUE_FULL: lambda held: f"listen queue overflowed {_times(held)}",
    DROPPED: _count("listening socket dropped {} connection attempt{s}, as when its queue is full"),
    RETRANSMITS: _share("{} of its TCP segments were sent again"),
    WAITED: _waited,
    STOLEN: _share("the hypervisor took {} of the CPU time of its host"),
}
