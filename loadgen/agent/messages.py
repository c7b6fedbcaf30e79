"""Messages from machines to the coordinator, which are read strictly because a machine may be broken.  Pure.

Every function raises ValueError, and nothing else, if a message is malformed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from loadgen.agent.chunk import Chunk
from loadgen.measure.wire import MAX_NUMBER, printable, read_field, read_int, read_list, read_text
from loadgen.model.errors import FleetError, LoadgenError, PlanError, TargetError
from loadgen.model.machine import Machine, MachineState

MAX_CLOCK_NS = 1 << 62
_MAX_ENGINES = 4096
_MAX_TEXT = 4096
_MAX_LINES = 1000
_REPORTED = {state.value: state for state in (MachineState.READY, MachineState.ARMED, MachineState.PLAYING)}
_FAULTS: Mapping[str, type[LoadgenError]] = {"fleet": FleetError, "target": TargetError, "plan": PlanError}


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """The report that a machine sends each second, and at once when something happens.

    `at_ns` is of the machine's clock.  `heard` is when the last posted renewal was sent (the coordinator's clock) and
    when it arrived (the machine's clock); None if none arrived since the previous heartbeat.  `spool_bytes` is the
    length of its spool; `chunk` is a new part of it, or None.  `problem` says what is wrong; empty if nothing is.
    """

    machine: str
    seq: int
    at_ns: int
    heard: tuple[int, int] | None
    state: MachineState
    engines: int
    cpu_share: float | None
    spool_bytes: int
    chunk: Chunk | None
    log: tuple[str, ...]
    log_dropped: int
    problem: str

    @classmethod
    def from_wire(cls, wire: object) -> Heartbeat:
        """Read a heartbeat from plain data."""
        state = read_text(wire, "state")
        if state not in _REPORTED:
            raise ValueError("field 'state' is not a state")
        chunk = read_field(wire, "chunk")
        lines = read_list(wire, "log")
        return cls(
            machine=read_text(wire, "machine"),
            seq=read_int(wire, "seq"),
            at_ns=read_int(wire, "at_ns", high=MAX_CLOCK_NS),
            heard=_heard(wire),
            state=_REPORTED[state],
            engines=read_int(wire, "engines", high=_MAX_ENGINES),
            cpu_share=_share(read_field(wire, "cpu_share")),
            spool_bytes=read_int(wire, "spool_bytes"),
            chunk=None if chunk is None else Chunk.from_wire(chunk),
            log=tuple(clean(line) for line in lines[:_MAX_LINES]),
            log_dropped=read_int(wire, "log_dropped") + max(0, len(lines) - _MAX_LINES),
            problem=clean(read_field(wire, "problem")),
        )


def read_machine(answer: object, name: str, address: str) -> Machine:
    """Read the description of a machine in its answer to hello."""
    workers = tuple(clean(worker) for worker in read_list(answer, "workers"))
    if not 0 < len(workers) <= _MAX_ENGINES or workers != tuple(f"{name}/{i}" for i in range(len(workers))):
        raise ValueError("field 'workers' does not name its engines")
    sysctls = read_field(answer, "sysctls")
    if not isinstance(sysctls, Mapping):
        raise ValueError("field 'sysctls' is not a mapping")
    return Machine(
        name=name,
        workers=workers,
        cores=read_int(answer, "cores", low=1, high=1 << 16),
        open_files=read_int(answer, "open_files"),
        address=address,
        memory_bytes=read_int(answer, "memory_bytes"),
        kernel=clean(read_text(answer, "kernel")),
        python=clean(read_text(answer, "python")),
        loadgen=clean(read_text(answer, "loadgen")),
        sysctls={clean(key): clean(value) for key, value in sysctls.items()},
        spool=clean(read_text(answer, "spool", max_length=_MAX_TEXT)),
        spool_free_bytes=min(read_int(answer, "spool_free_bytes", high=MAX_CLOCK_NS), MAX_NUMBER),
    )


def read_clock(answer: object) -> int:
    """Read the machine's clock (ns) in the answer to `clock` or `renew`."""
    return read_int(answer, "at_ns", high=MAX_CLOCK_NS)


def read_known(answer: object) -> bool:
    """Read from the answer to `renew` whether the machine still serves the run."""
    known = read_field(answer, "known")
    if not isinstance(known, bool):
        raise ValueError("field 'known' is neither true nor false")
    return known


def read_refusal(answer: object) -> LoadgenError | None:
    """Read the refusal in an answer as an error, whose type says whose fault it is; None if it is no refusal."""
    if not isinstance(answer, Mapping):
        raise ValueError(f"it answers {type(answer).__name__} instead of a mapping")
    if "failed" not in answer:
        return None
    failed = answer["failed"]
    whose = read_text(failed, "whose")
    if whose not in _FAULTS:
        raise ValueError("field 'whose' has an unknown value")
    return _FAULTS[whose](clean(read_field(failed, "message")), hint=clean(read_field(failed, "hint")))


def clean(text: object) -> str:
    """Return a received text as one line that is safe to print, cut to 4096 characters."""
    if not isinstance(text, str):
        raise ValueError(f"{type(text).__name__} instead of a text")
    return printable(text[:_MAX_TEXT])


def _heard(wire: object) -> tuple[int, int] | None:
    if read_field(wire, "heard") is None:
        return None
    match read_list(wire, "heard"):
        case [sent_ns, heard_ns] if all(type(one) is int and 0 <= one <= MAX_CLOCK_NS for one in (sent_ns, heard_ns)):
            return sent_ns, heard_ns
        case _:
            raise ValueError("field 'heard' is not a pair of times")


def _share(value: object) -> float | None:
    if value is None:
        return None
    if type(value) is int and abs(value) < _MAX_ENGINES:
        value = float(value)
    if not isinstance(value, float) or not math.isfinite(value) or value < 0:
        raise ValueError("field 'cpu_share' is not a share")
    return value
