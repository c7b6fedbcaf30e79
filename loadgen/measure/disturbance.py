"""What one second was like on a load machine, beside what its engines measured in it: the disturbance track.

A number that the kernel does not report is UNKNOWN, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from loadgen.measure.cells import MAX_WINDOWS
from loadgen.measure.snapshot import MAX_INTERVAL
from loadgen.measure.wire import printable, read_field, read_int, read_list, read_text
from loadgen.model.units import NS_PER_S

NAMESPACE = (
    "tcp_segments_sent",
    "tcp_segments_received",
    "tcp_retransmits",
    "tcp_syn_retransmits",
    "tcp_timeouts",
    "tcp_loss_probes",
    "tcp_out_of_order",
    "tcp_received_twice",
    "tcp_receive_drops",
    "tcp_aborted_on_timeout",
    "listen_overflows",
    "listen_drops",
)
"""Counters of the whole network namespace of a load machine, by their names here (/proc/net/snmp and netstat)."""

UNKNOWN = -1
"""A number that the machine cannot tell."""

_MAX_CORE = 1 << 16
_MAX_ENGINES = 1 << 12
_MAX_SPAN = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSecond:
    """The cores that one engine ran on, between two samples.

    `core_ns`: the time of these `cores` together; 0 when they are not known.  Of it, `others_ns` were used by processes
    without a part in the run, and `stolen_ns` were taken by the hypervisor.  `softirq_ns`: time in software interrupts,
    most of them the run's own traffic.  `mhz`: their mean frequency.  `most`: the process that used the most.
    """

    worker: str
    cores: tuple[int, ...] = ()
    core_ns: int = 0
    others_ns: int = UNKNOWN
    stolen_ns: int = UNKNOWN
    softirq_ns: int = UNKNOWN
    mhz: int = UNKNOWN
    most: str = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineSecond:
    """What a load machine was like from `interval` on, for `span` seconds (more than one where samples are dear).

    `interval`: seconds since the start of the run, as in snapshots.  The part of the seconds in the measured window
    `window` (-1: none) is `begin_ns` to `end_ns` after the start of `interval`.  `wall_ns`: the time between the two
    samples.  All other numbers are of this time: `throttled_ns`, in which the CPU quota of a control group stopped
    processes, of its `periods` the `throttled_periods`; `pressure_ns`, in which some task waited for a core (PSI); and
    counters of packets of the machine (softnet) and of TCP segments and connections of the network namespace.
    """

    machine: str
    interval: int
    span: int = 1
    window: int = -1
    begin_ns: int = 0
    end_ns: int = 0
    wall_ns: int = NS_PER_S
    engines: tuple[EngineSecond, ...] = ()
    throttled_ns: int = UNKNOWN
    periods: int = UNKNOWN
    throttled_periods: int = UNKNOWN
    pressure_ns: int = UNKNOWN
    softnet_dropped: int = UNKNOWN
    softnet_squeezed: int = UNKNOWN
    tcp_retransmits: int = UNKNOWN
    listen_overflows: int = UNKNOWN
    tcp_segments_sent: int = UNKNOWN
    tcp_segments_received: int = UNKNOWN
    tcp_syn_retransmits: int = UNKNOWN
    tcp_timeouts: int = UNKNOWN
    tcp_loss_probes: int = UNKNOWN
    tcp_out_of_order: int = UNKNOWN
    tcp_received_twice: int = UNKNOWN
    tcp_receive_drops: int = UNKNOWN
    tcp_aborted_on_timeout: int = UNKNOWN
    listen_drops: int = UNKNOWN

    @property
    def window_ns(self) -> int:
        """How much of the measured window is in these seconds."""
        return self.end_ns - self.begin_ns if self.window >= 0 else 0

    def to_wire(self) -> dict[str, Any]:
        """The seconds as plain data for msgpack."""
        return {
            **{name: getattr(self, name) for name in ("machine", *_NUMBERS)},
            "engines": [
                {name: getattr(one, name) for name in ("worker", "cores", "most", *_OF_ENGINE)} for one in self.engines
            ],
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> MachineSecond:
        """The inverse of :meth:`to_wire`.  Raises ValueError, and nothing else, if `wire` is malformed.

        Process names are made printable, because they are shown to the user.
        """
        engines = read_list(wire, "engines")
        if len(engines) > _MAX_ENGINES:
            raise ValueError(f"field 'engines' has more than {_MAX_ENGINES} entries")
        read = cls(
            machine=read_text(wire, "machine"),
            engines=tuple(map(_engine, engines)),
            **{name: read_int(wire, name, low=low, high=high) for name, (low, high) in _LIMITS.items()},
            **{
                name: read_int(wire, name, low=UNKNOWN)
                for name in _NUMBERS
                if name not in _LIMITS and not (name in _ADDED and name not in wire)
            },
        )
        if not 0 <= read.begin_ns <= read.end_ns <= read.span * NS_PER_S:
            raise ValueError("the part in the measured window is not within the seconds")
        return read


_LIMITS = {
    "interval": (0, MAX_INTERVAL),
    "span": (1, _MAX_SPAN),
    "window": (-1, MAX_WINDOWS),
    "begin_ns": (0, _MAX_SPAN * NS_PER_S),
    "end_ns": (0, _MAX_SPAN * NS_PER_S),
    "wall_ns": (1, 2 * _MAX_SPAN * NS_PER_S),
}
_NUMBERS = tuple(field.name for field in fields(MachineSecond) if field.name not in ("machine", "engines"))
_ADDED = frozenset(NAMESPACE) - {"tcp_retransmits", "listen_overflows"}  # earlier versions do not have them
_OF_ENGINE = tuple(field.name for field in fields(EngineSecond) if field.name not in ("worker", "cores", "most"))


def _engine(wire: object) -> EngineSecond:
    cores = read_list(wire, "cores")
    if not all(type(core) is int and 0 <= core < _MAX_CORE for core in cores):
        raise ValueError("field 'cores' has something that is no number of a core")
    return EngineSecond(
        worker=read_text(wire, "worker"),
        cores=tuple(cores),
        most=printable(read_text(wire, "most")),
        **{name: read_int(wire, name, low=0 if name == "core_ns" else UNKNOWN) for name in _OF_ENGINE},
    )


def seconds_of(wire: object) -> tuple[MachineSecond]:
    """The value in its wire form, for the record.  Raises only ValueError, if malformed."""
    read_field(wire, "machine")
    return (MachineSecond.from_wire(wire),)  # type: ignore[arg-type]  # it checks the type itself
