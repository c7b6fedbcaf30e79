"""Where a network run is, as plain values for the view."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from loadgen.measure.throughput import Tick
from loadgen.model.probe import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One moment of a run of `steps` tests.

    `step` counts from 1 and is that of the running test; 0 while the run is only being prepared.  `label` says
    which test that is (`receive 64K`, `gige splice 64K 16 flows`), and `kind` what goes over it.  `elapsed_s` is of
    the whole run, and `total_s` what it will take, as far as its plan says.  `ticks` are those of the running test,
    the newest last; the bytes of a request/response test are its transactions.
    `finished` has a (label, Mbit/s) for each test that is over, in their order; -1 where a test has no rate
    (request/response).  `notices` are what the user should know, in words.
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
"""Told about every tick, and when a test begins or ends."""
