"""What the VMs of a run used in one second, as the kernel of their host counts it.

A number that was not read is UNKNOWN, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadgen.measure.cells import MAX_WINDOWS
from loadgen.measure.snapshot import MAX_INTERVAL
from loadgen.measure.wire import MAX_NUMBER, read_field, read_int, read_list
from loadgen.model.units import NS_PER_S

UNKNOWN = -1
"""A number that was not read."""

COUNTED = (
    "cpu_ns",
    "waited_ns",
    "periods",
    "throttled_periods",
    "throttled_ns",
    "oom_kills",
    "pids_refused",
    "listen_overflows",
    "listen_drops",
    "segments_sent",
    "retransmits",
)
"""What a VM did in the second: CPU time; time in which its threads could run and waited for a core; periods of its CPU
quota, those in which the quota was used up, and the time in which that stopped it; processes that the kernel killed
because of the memory limit; forks that the pids limit refused; connections that found its listen queue full, and those
that its listening sockets dropped for any reason; TCP segments sent, and those sent again."""

LEVELS = ("memory_bytes", "pids")
"""What a VM had at the end of the second: the memory of its cgroup, with page cache; its processes and threads."""

COLUMNS = (*COUNTED, *LEVELS)
"""The rows of :attr:`VmSecond.numbers`."""

_MAX_VMS = 1 << 16
_MAX_SPAN_NS = 3600 * NS_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class VmSecond:
    """All VMs between two samples, `begin_ns` and `end_ns` after the start of the run.

    The samples are one second apart, or more where they are dear.  `window`: the measured window in which most of the
    time lies (-1: none).  `numbers`: int64, a row for each of COLUMNS, and a column for each target of the run, in
    order.  `stolen_ns` of the time `core_ns` of all cores of the host were taken by its hypervisor.  `cost_ns`: the CPU
    time that the second sample took.
    """

    begin_ns: int
    end_ns: int
    window: int
    numbers: NDArray[np.int64]
    stolen_ns: int = UNKNOWN
    core_ns: int = UNKNOWN
    cost_ns: int = 0

    @property
    def wall_ns(self) -> int:
        """The time between the samples."""
        return self.end_ns - self.begin_ns

    def column(self, name: str) -> NDArray[np.int64]:
        """One number of each VM, by a name of COLUMNS."""
        found: NDArray[np.int64] = self.numbers[COLUMNS.index(name)]
        return found

    def to_wire(self) -> dict[str, Any]:
        """The second as plain data for msgpack; a number that is the same for all VMs is written once."""
        columns = {}
        for name, row in zip(COLUMNS, self.numbers, strict=True):
            columns[name] = int(row[0]) if (row == row[0]).all() else row.tolist()
        return {**{name: getattr(self, name) for name in _SINGLE}, "vms": self.numbers.shape[1], "columns": columns}

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> VmSecond:
        """The inverse of :meth:`to_wire`; columns that the wire form lacks are UNKNOWN.

        Raises ValueError, and nothing else, if `wire` is malformed.
        """
        vms = read_int(wire, "vms", low=1, high=_MAX_VMS)
        columns = read_field(wire, "columns")
        if not isinstance(columns, Mapping):
            raise ValueError("field 'columns' is no map")
        single = {name: read_int(wire, name, low=low, high=high) for name, (low, high) in _SINGLE.items()}
        if single["begin_ns"] >= single["end_ns"] or single["end_ns"] - single["begin_ns"] > _MAX_SPAN_NS:
            raise ValueError("the samples are not one after the other")
        numbers = np.full((len(COLUMNS), vms), UNKNOWN, dtype=np.int64)
        for at, name in enumerate(COLUMNS):
            if name in columns:
                numbers[at] = _row(columns, name, vms)
        return cls(numbers=numbers, **single)


_END = (0, MAX_INTERVAL * NS_PER_S)
_SINGLE: dict[str, tuple[int, int]] = {
    "begin_ns": _END,
    "end_ns": _END,
    "window": (-1, MAX_WINDOWS),
    "stolen_ns": (UNKNOWN, MAX_NUMBER),
    "core_ns": (UNKNOWN, MAX_NUMBER),
    "cost_ns": (0, MAX_NUMBER),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class VmWeights:
    """The proportional set size of each target's processes (UNKNOWN where not read), outside of measured windows.

    It is dear to read, so it is read twice: `after` the traffic, or before it.
    """

    after: bool
    pss_bytes: tuple[int, ...]

    def to_wire(self) -> dict[str, Any]:
        """The values as plain data for msgpack."""
        return {"after": self.after, "pss_bytes": self.pss_bytes}

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> VmWeights:
        """The inverse of :meth:`to_wire`.  Raises ValueError, and nothing else, if `wire` is malformed."""
        return cls(after=bool(read_field(wire, "after")), pss_bytes=tuple(_numbers(read_list(wire, "pss_bytes"))))


def vm_seconds_of(wire: object) -> tuple[VmSecond | VmWeights]:
    """The value in its wire form, for the record.  Raises only ValueError, if malformed."""
    if isinstance(wire, Mapping) and "pss_bytes" in wire:
        return (VmWeights.from_wire(wire),)
    read_field(wire, "columns")
    return (VmSecond.from_wire(wire),)  # type: ignore[arg-type]  # it checks the type itself


def _row(columns: Mapping[str, Any], name: str, vms: int) -> int | list[int]:
    if isinstance(columns[name], int):
        return read_int(columns, name, low=UNKNOWN, high=MAX_NUMBER)
    row = _numbers(read_list(columns, name))
    if len(row) != vms:
        raise ValueError(f"field {name!r} has not one number for each VM")
    return row


def _numbers(values: list[Any]) -> list[int]:
    if not all(type(one) is int and UNKNOWN <= one <= MAX_NUMBER for one in values):
        raise ValueError("a number of a VM is none")
    return values
