"""Events that a load machine reports, in order per worker, over pipes, networks and spools."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from loadgen.measure.canary import CanariesHeard
from loadgen.measure.cells import MAX_WINDOWS
from loadgen.measure.disturbance import MachineSecond
from loadgen.measure.snapshot import Snapshot
from loadgen.measure.together import Snapshots
from loadgen.measure.wire import MAX_NUMBER, printable, read_field, read_int, read_list, read_text

_MAX_CLOCK_NS = (1 << 63) - 1
_MAX_WHY = 4096

UNKNOWN = -1.0
"""A share that the machine cannot tell."""


MAX_ADDRESSES = 1000
"""The most addresses that an engine reports."""


@dataclass(frozen=True, slots=True)
class AddressUse:
    """An address of a target whose name has several, and the number of an engine's connections to it.

    `connections` is 0 for an address that is not used: it did not accept a connection, or only the first one is used.
    """

    target: str
    address: str
    connections: int


@dataclass(frozen=True, slots=True)
class EngineReady:
    """An engine process has received its assignment.

    `engine`: python or compiled.  `timestamps`: what stamps replies, kernel or loop.  `why`: why the compiled engine is
    not used; empty if it is.  `addresses` are those of targets whose names have several, at most 1,000.
    """

    worker: str
    engine: str
    timestamps: str
    why: str
    addresses: tuple[AddressUse, ...] = ()


@dataclass(frozen=True, slots=True)
class SegmentBegan:
    """An engine began to play a segment at `at_ns` (CLOCK_MONOTONIC of its machine)."""

    worker: str
    segment: int
    at_ns: int


@dataclass(frozen=True, slots=True)
class SegmentEnded:
    """An engine reached the end of a segment, or was stopped.  All of its snapshots precede this event.

    `done_ns`: when its given number of operations was done (CLOCK_MONOTONIC of its machine); 0 when none was given, or
    when the segment ended before.  `handshakes`: of TLS, so far: full ones, resumed ones.  `remarks`: what it noticed
    about servers besides outcomes, and how often.
    """

    worker: str
    segment: int
    why: str
    done_ns: int = 0
    handshakes: tuple[int, int] = (0, 0)
    remarks: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class EngineLost:
    """An engine process ended before the run did; `why` is the reason, as text."""

    worker: str
    why: str


@dataclass(frozen=True, slots=True)
class CoresShared:
    """CPU that other processes used on the cores on which a machine's engines ran, during one segment.

    `share`: of the time of the cores of the engine that was disturbed most, 0..1.  `most`: the process that used
    the most.  `throttled`: share of the periods of the machine's CPU quota in which it was used up.  Both shares are
    UNKNOWN where the machine cannot tell.
    """

    machine: str
    share: float
    most: str
    throttled: float = UNKNOWN


OneEvent = (
    Snapshot | EngineReady | SegmentBegan | SegmentEnded | EngineLost | CoresShared | MachineSecond | CanariesHeard
)

"""An event of one worker or machine."""

AgentEvent = OneEvent | Snapshots


def apart(events: Iterable[AgentEvent]) -> Iterator[OneEvent]:
    """The same events, with each Snapshots split into its Snapshot members."""
    for event in events:
        if isinstance(event, Snapshots):
            yield from event.split()
        else:
            yield event


def event_to_wire(event: AgentEvent) -> dict[str, Any]:
    """The event as plain data for msgpack."""
    match event:
        case Snapshot():
            return {"is": "snapshot", "snapshot": event.to_wire()}
        case Snapshots():
            return {"is": "snapshots", "snapshots": event.to_wire()}
        case EngineReady(worker, engine, timestamps, why, addresses):
            more: dict[str, Any] = {"why": why[:_MAX_WHY]} if why else {}
            if addresses:
                more["addresses"] = [[one.target, one.address, one.connections] for one in addresses[:MAX_ADDRESSES]]
            return {"is": "ready", "worker": worker, "engine": engine, "timestamps": timestamps, **more}
        case SegmentBegan(worker, segment, at_ns):
            return {"is": "began", "worker": worker, "segment": segment, "at_ns": at_ns}
        case SegmentEnded(worker, segment, why, done_ns, handshakes, remarks):
            more = {"done_ns": done_ns} if done_ns else {}
            more |= {"full": handshakes[0], "resumed": handshakes[1]} if any(handshakes) else {}
            more |= {"remarks": [list(one) for one in remarks]} if remarks else {}
            return {"is": "ended", "worker": worker, "segment": segment, "why": why, **more}
        case EngineLost(worker, why):
            return {"is": "lost", "worker": worker, "why": why[:_MAX_WHY]}
        case CoresShared(machine, share, most, throttled):
            return {"is": "shared", "machine": machine, "share": share, "most": most, "throttled": throttled}
        case MachineSecond():
            return {"is": "second", "second": event.to_wire()}
        case CanariesHeard():
            return {"is": "canaries", "canaries": event.to_wire()}


def snapshots_in(wire: object) -> object | None:
    """The wire form of the Snapshots inside the wire form of an event; None for any other event."""
    return wire.get("snapshots") if isinstance(wire, Mapping) and wire.get("is") == "snapshots" else None


def is_second(wire: object) -> bool:
    """Whether the wire form of an event is that of a MachineSecond."""
    return isinstance(wire, Mapping) and wire.get("is") == "second"


def event_from_wire(wire: Mapping[str, Any]) -> AgentEvent:
    """The inverse of :func:`event_to_wire`.  Raises ValueError, and nothing else, if `wire` is malformed.

    Reasons and process names are made printable, because they are shown to the user.
    """
    match read_text(wire, "is"):
        case "snapshot":
            return Snapshot.from_wire(read_field(wire, "snapshot"))
        case "snapshots":
            return Snapshots.from_wires([read_field(wire, "snapshots")])
        case "ready":
            return EngineReady(
                read_text(wire, "worker"),
                printable(read_text(wire, "engine")),
                printable(read_text(wire, "timestamps")),
                printable(read_text(wire, "why", max_length=_MAX_WHY)) if "why" in wire else "",
                addresses_from_wire(wire.get("addresses", [])),
            )
        case "began":
            at_ns = read_int(wire, "at_ns", high=_MAX_CLOCK_NS)
            return SegmentBegan(read_text(wire, "worker"), read_int(wire, "segment", high=MAX_WINDOWS), at_ns)
        case "ended":
            segment = read_int(wire, "segment", high=MAX_WINDOWS)
            done_ns = read_int(wire, "done_ns", high=_MAX_CLOCK_NS) if "done_ns" in wire else 0
            full, resumed = (read_int(wire, name) if name in wire else 0 for name in ("full", "resumed"))
            remarks = tuple(_read_remark(one) for one in read_list(wire, "remarks")) if "remarks" in wire else ()
            why = printable(read_text(wire, "why"))
            return SegmentEnded(read_text(wire, "worker"), segment, why, done_ns, (full, resumed), remarks)
        case "lost":
            return EngineLost(read_text(wire, "worker"), printable(read_text(wire, "why", max_length=_MAX_WHY)))
        case "shared":
            share, throttled = _read_share(wire, "share"), _read_share(wire, "throttled")
            return CoresShared(read_text(wire, "machine"), share, printable(read_text(wire, "most")), throttled)
        case "second":
            return MachineSecond.from_wire(read_field(wire, "second"))
        case "canaries":
            return CanariesHeard.from_wire(read_field(wire, "canaries"))
        case other:
            raise ValueError(f"unknown event {other!r}")


def addresses_from_wire(wire: object) -> tuple[AddressUse, ...]:
    """The addresses in the wire form of an EngineReady.  Raises ValueError if they are malformed."""
    if not isinstance(wire, list) or len(wire) > MAX_ADDRESSES:
        raise ValueError("the addresses of an engine are not a list, or too many")
    for one in wire:
        if not (isinstance(one, list) and [type(field) for field in one] == [str, str, int] and 0 <= one[2] < 1 << 32):
            raise ValueError(f"{one!r} is not a use of an address")
    return tuple(AddressUse(printable(name[:_MAX_WHY]), printable(at[:_MAX_WHY]), n) for name, at, n in wire)


def _read_remark(wire: object) -> tuple[str, int]:
    match wire:
        case [str(text), int(count)] if not isinstance(count, bool) and 0 < count <= MAX_NUMBER:
            return printable(text[:_MAX_WHY]), count
        case _:
            raise ValueError(f"a remark is {wire!r}, expected a text and a number")


def _read_share(wire: Mapping[str, Any], name: str) -> float:
    share = read_field(wire, name)
    if not isinstance(share, float) or not math.isfinite(share) or (share < 0 and share != UNKNOWN):
        raise ValueError(f"field {name!r} is {share!r}, expected a finite number from 0.0, or {UNKNOWN}")
    return share
