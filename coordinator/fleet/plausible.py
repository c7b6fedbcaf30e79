"""Checks of a machine's reports: a broken machine must not falsify the results of other machines.  Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from coordinator.fleet.member import Member
from loadgen.measure.canary import CanariesHeard
from loadgen.measure.disturbance import MachineSecond
from loadgen.measure.events import AgentEvent, CoresShared, SegmentBegan, SegmentEnded
from loadgen.measure.snapshot import Snapshot
from loadgen.measure.together import Snapshots
from loadgen.model.units import NS_PER_S

_AHEAD_NS = 5 * NS_PER_S
"""Reports of times further ahead than this are wrong."""


def check_snapshots(member: Member, workers: Sequence[str], intervals: Sequence[int], now_ns: int) -> None:
    """Check snapshots of `workers`, each of its interval.

    Raises ValueError if the machine cannot have measured them.
    """
    _check_speaker(workers, member.workers)
    newest = max(intervals)
    if member.origin_ns + newest * NS_PER_S > now_ns + _AHEAD_NS:
        raise ValueError(f"it reports interval {newest}, which has not begun yet")


def checked(member: Member, event: AgentEvent, now_ns: int, offset_ns: int) -> AgentEvent:
    """Return the event with times of the coordinator's clock; `offset_ns` is how far the machine's clock is ahead.

    Raises ValueError if the machine cannot have observed this.
    """
    if isinstance(event, Snapshots):
        check_snapshots(member, event.workers, event.intervals, now_ns)
    elif isinstance(event, Snapshot):
        check_snapshots(member, [event.worker], [event.interval], now_ns)
    elif isinstance(event, CoresShared):
        _check_speaker([event.machine], [member.name])
    elif isinstance(event, MachineSecond):
        _check_speaker([event.machine], [member.name])
        check_snapshots(member, [one.worker for one in event.engines], [event.interval + event.span - 1], now_ns)
    elif isinstance(event, CanariesHeard):
        _check_speaker([event.machine], [member.name])
        _check_speaker([one.worker for one in event.engines], member.workers)
    else:
        _check_speaker([event.worker], member.workers)
    if isinstance(event, SegmentBegan):
        event = dataclasses.replace(event, at_ns=event.at_ns - offset_ns)
        if member.ordered_ns is None or not member.ordered_ns < event.at_ns < now_ns + _AHEAD_NS:
            raise ValueError("it reports an impossible time for the start of a segment")
    if isinstance(event, SegmentEnded) and event.done_ns:
        event = dataclasses.replace(event, done_ns=event.done_ns - offset_ns)
        if member.ordered_ns is None or not member.ordered_ns < event.done_ns < now_ns + _AHEAD_NS:
            raise ValueError("it reports an impossible time for the end of a segment")
    return event


def _check_speaker(speaks_for: Sequence[str], own: Sequence[str]) -> None:
    if strangers := set(speaks_for).difference(own):
        raise ValueError(f"it reports for {min(strangers)!r}, which is not one of its own")
