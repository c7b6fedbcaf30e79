"""The progress of a network run, as plain values for the view."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from loadgen.measure.throughput import Tick
from loadgen.model.probe import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One moment of a run of `steps` tests.

    `step` is the number of the running test, counted from 1; it is 0 while the run is being prepared.  `label` names
    the running test (`receive 64K`, `gige splice 64K 16 flows`), and `kind` is its kind.  `elapsed_s` and `total_s`
    are the time since the start of the run and its length by the plan.  `ticks` are those of the running test, the
    newest last; the bytes of a request/response test are its transactions.  `finished` has a (label, Mbit/s) for each
    finished test, in their order; the rate of a request/response test is -1.  `notices` are sentences for the user.
    """

    title: str
    step: int
    steps: int
    label: str
    kind: Kind
    elapsed_s: float
    total_s: float
    ticks: tuple[Tick, ...]
    finished: tuple[tuple[str, float], ...]
    notices: tuple[str, ...]


OnProgress = Callable[[Progress], None]
"""Called for every tick, and when a test begins or ends."""
