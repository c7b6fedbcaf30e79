"""The margin of a spec run: its score beside what its tape gives on ideal servers, and at other floors.  Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from loadgen.model.plan import SpecPlan
from loadgen.schedule.timings import Timings
from loadgen.verdict.ideal import Line
from loadgen.verdict.margin import Ideal, Margin, Spread, alone, at_floors, ideal_of, is_edge, near_floor
from loadgen.verdict.result import IterationResult
from loadgen.verdict.rules import Asked
from workloads.api import Workload

_DEALS = 40
"""Simulated windows with other seeds: they take .1 s for 16 VMs of 20 connections, .5 s for the longest tapes."""


def margin_of(
    plan: SpecPlan,
    workload: Workload[SpecPlan],
    own: Timings | None,
    asked: Asked,
    iterations: Sequence[IterationResult],
    median: IterationResult,
    found: NDArray[np.void],
) -> Margin:
    """The margin of a run whose median iteration is complete; `found` (FINDING_DTYPE) are its connections.
    `own`: the timings of the plan.

    `iterations` are those that were measured.
    """
    complete = [one for one in iterations if one.complete]
    floors = at_floors(found, asked.bound, plan.line_bps)
    near = near_floor(floors)
    return Margin(
        ideal=_ideal(plan, workload, own, asked, median.index),
        floors=floors,
        conforming=_spread([one.conforming or 0 for one in complete]),
        ops_per_s=_spread([one.ops_per_s for one in complete]),
        near_floor=near,
        is_edge=is_edge(near, asked.connections),
    )


def _ideal(
    plan: SpecPlan, workload: Workload[SpecPlan], own: Timings | None, asked: Asked, iteration: int
) -> Ideal | None:
    if own is None:
        return None
    line = Line(plan.line_bps, plan.paced_reads)
    return ideal_of(own, iteration, _deals(plan, workload, iteration), asked, plan.phases, line)


def _deals(plan: SpecPlan, workload: Workload[SpecPlan], iteration: int) -> Iterator[Timings]:
    """The timings of that iteration with other seeds, which follow from the plan's own."""
    phases = alone(plan.phases, iteration)
    seeds = np.random.SeedSequence((0x99_0034, plan.seed % 2**64)).generate_state(_DEALS, np.uint64).tolist()
    for seed in seeds:
        deal = workload.timings(dataclasses.replace(plan, seed=seed, phases=phases))
        assert deal is not None
        yield deal


def _spread(values: Sequence[float]) -> Spread:
    return Spread(min(values), max(values))
