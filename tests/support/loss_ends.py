"""What must be true at the end of a run that lost a machine, or its coordinator (tests.support.losses)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from coordinator.record.connections import STATES
from loadgen.model.units import NS_PER_S
from loadgen.verdict.connection import State
from tests.support.cli import Done
from tests.support.disturbed import ending
from tests.support.fleet_runs import GONE_S, FleetRun
from tests.support.machines import Machines
from tests.support.vms import within

ABANDONED_S = 15.0
"""The time within which engines end that have lost their coordinator."""

_HALF = 4  # connections that each of the two machines has
_BUGS = ("Traceback", "Error:", "never retrieved", "closing the run failed", "bug of loadgen")


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """A run that has ended; `victim` is the machine that had the fault."""

    run: FleetRun
    done: Done
    victim: str
    other: str

    @property
    def reasons(self) -> list[str]:
        return list(self.run.document["reasons"])

    @property
    def notes(self) -> list[str]:
        return list(self.run.document["notes"])

    @property
    def ended(self) -> tuple[int, str]:
        return self.run.document["exit_code"], self.run.document["verdict"]

    def names(self, machine: str) -> bool:
        """Whether a machine is called lost."""
        return any(f"Machine {machine} (" in one or f"Worker {machine}/" in one for one in self.reasons)


def _without_report(end: End) -> list[str]:
    """Return what is wrong with the output and with the end of the record."""
    wrong = [f"it says {word!r}" for word in _BUGS if word in f"{end.done.out}\n{end.done.err}"]
    if "Verdict:" not in end.done.out:
        return [*wrong, "it printed no report"]
    code = end.run.document.get("exit_code")
    return wrong if code == end.done.code else [*wrong, f"it ended with {end.done.code}, its record says {code}"]


def _left(end: End) -> Iterator[str]:
    if not within(5, lambda: not end.run.left().get(end.other)):
        yield f"processes are left: {end.run.left()}"


def wrong_after_nothing(end: End, *, full: bool) -> Iterator[str]:
    """Yield what is wrong with a run whose fault costs nothing; `full`: it must say that a disk was full."""
    if wrong := _without_report(end):
        yield from wrong
        return
    if end.ended != (wanted := ending(end.run.document, 0, "conforming")):
        yield f"it ended with {end.ended} ({end.reasons}) instead of {wanted}"
    if full and not any("could not be written any more: No space left on device" in one for one in end.notes):
        yield f"no note says that the disk was full: {end.notes}"
    yield from _left(end)


def wrong_after_loss(end: End, *, closing: bool, counts: bool) -> Iterator[str]:
    """Yield what is wrong with a run that lost the victim.

    `closing`: it was lost after the traffic, and costs nothing if its results had arrived.  It is noted only if it had
    not been told by then that the run is over, which a test from outside cannot know.  `counts`: the connections of
    the victim must not conform in the window.
    """
    if wrong := _without_report(end):
        yield from wrong
        return
    if closing and not end.names(end.victim):
        yield from wrong_after_nothing(end, full=False)
        return
    wanted = ending(end.run.document, 4, "DEGRADED")
    if end.ended != wanted:
        yield f"it ended with {end.ended} ({end.reasons}) instead of {wanted}"
    if not end.names(end.victim):
        yield f"no reason names {end.victim}: {end.reasons}"
    if end.names(end.other):
        yield f"{end.other} is blamed: {end.reasons}"
    if "there is no score" not in " ".join(end.done.out.split()).lower():
        yield "the report does not say that there is no score"
    if counts:
        with np.load(end.run.record / "connections.npz") as file:
            states = file["connections"]["state"].tolist()
        if (lost := states.count(State.LOST)) != _HALF:
            yield f"{lost} connections are lost, not {_HALF}: {[STATES[one] for one in states]}"
        elif wanted[0] == 4 and end.run.document["conforming_connections"] != _HALF:
            yield f"{end.run.document['conforming_connections']} connections conform, not {_HALF}"
    yield from _left(end)


def wrong_after_stop(end: End) -> Iterator[str]:
    """Yield what is wrong with a run whose coordinator was stopped for longer than a lease.

    It blames no machine.  Its traffic ended with the lease, unless the traffic was about to end anyway.
    """
    if wrong := _without_report(end):
        yield from wrong
        return
    if blamed := [name for name in (end.victim, end.other) if end.names(name)]:
        yield f"{blamed} are blamed: {end.reasons}"
    expired = any("lease expired" in one for one in end.notes)
    wanted = (3, "INVALID") if expired else ending(end.run.document, 0, "conforming")
    if end.ended != wanted:
        yield f"it ended with {end.ended} ({end.reasons}) instead of {wanted}"
    yield from _left(end)


def wrong_after_kill(end: End, machines: Machines, last_ns: Callable[[], int]) -> Iterator[str]:
    """Yield what is wrong after the coordinator was killed; `last_ns`: how long after that the last request was."""
    time.sleep(GONE_S + 0.5)
    if (after_ns := last_ns()) > GONE_S * NS_PER_S:
        yield f"there was traffic {after_ns / NS_PER_S:.1f} s later"
    shown = machines.loadgen("show", end.run.record.name, cwd=end.run.record.parent)
    if shown.code or shown.err or "The run was cut off before it wrote its result." not in shown.out:
        yield f"its record cannot be shown: {shown.code} {shown.out} {shown.err}"
    if not within(ABANDONED_S, lambda: not end.run.left()):
        yield f"processes are left: {end.run.left()}"
