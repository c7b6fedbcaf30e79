"""Reading counters beside the traffic: a reading that fails or is dear costs no result, and is told."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from coordinator.run.timeline import Timeline
from coordinator.run.vm_watch import VmWatch
from deploy.counters.place import VmPlace
from deploy.counters.sampler import Sample, VmSampler
from loadgen.measure.vm_second import COLUMNS, VmSecond, VmWeights
from loadgen.model.plan import Phases
from loadgen.model.units import NS_PER_S

PHASES = Phases(ramp_up_ns=0, warmup_ns=0, measure_ns=3600 * NS_PER_S, ramp_down_ns=0, iterations=1)


class FakeSampler(VmSampler):
    """Counts its readings in each number; fails from the reading `broken` on."""

    def __init__(self, broken: int = 1 << 30, cost_ns: int = 0) -> None:
        super().__init__([])
        self.readings = 0
        self.closed = False
        self._broken = broken
        self._cost_ns = cost_ns

    def __call__(self, places: Sequence[VmPlace | None]) -> VmSampler:
        return self

    def read(self) -> Sample:
        self.readings += 1
        if self.readings >= self._broken:
            raise OSError("the kernel has changed its mind")
        numbers = np.full((len(COLUMNS), 1), self.readings, dtype=np.int64)
        at_ns = time.monotonic_ns()
        return Sample(at_ns=at_ns, numbers=numbers, stolen_ns=0, core_ns=at_ns, cost_ns=self._cost_ns)

    def read_pss(self, within_s: float) -> tuple[int, ...]:
        return (4096,)

    def close(self) -> None:
        self.closed = True


def watch(
    sampler: FakeSampler, until: Callable[[list[VmSecond | VmWeights]], bool], places: dict[str, VmPlace] | None = None
) -> tuple[list[VmSecond | VmWeights], list[str]]:
    """Watch one VM until the readings are enough, then end the traffic."""
    kept: list[VmSecond | VmWeights] = []

    async def play() -> list[str]:
        timeline = Timeline(PHASES)
        given = {"vm01": VmPlace(pids=(1,))} if places is None else places
        async with asyncio.timeout(60), VmWatch(given, ["vm01"], timeline, kept.append, sampler) as watching:
            timeline.plan_segment(0, time.monotonic_ns())
            while not until(kept):  # noqa: ASYNC110 - what is read wakes nobody
                await asyncio.sleep(0.01)
        return watching.notes

    return kept, asyncio.run(play())


def test_samples_follow_one_another_between_two_readings_of_pss() -> None:
    sampler = FakeSampler()
    kept, notes = watch(sampler, lambda kept: len(kept) >= 3)
    before, *seconds, after = kept
    assert (before, after) == (VmWeights(after=False, pss_bytes=(4096,)), VmWeights(after=True, pss_bytes=(4096,)))
    read = [one for one in seconds if isinstance(one, VmSecond)]
    assert len(read) == len(seconds) >= 2
    assert all(earlier.end_ns == later.begin_ns for earlier, later in itertools.pairwise(read))
    assert {one.window for one in read} == {0}
    assert all((one.column("cpu_ns") == 1).all() for one in read)
    assert sampler.closed
    assert not [one for one in notes if "not read" in one]


def test_a_reading_that_fails_ends_the_reading_only_and_is_told() -> None:
    sampler = FakeSampler(broken=4)
    kept, notes = watch(sampler, lambda kept: sampler.readings >= 4)
    assert [type(one) for one in kept] == [VmWeights, VmSecond]
    assert notes == ["the counters of the VMs were not read to the end: OSError: the kernel has changed its mind"]
    assert sampler.closed


def test_a_sampler_that_cannot_even_begin_is_told() -> None:
    kept, notes = watch(FakeSampler(broken=1), lambda kept: True)
    assert kept == []
    assert notes == ["the counters of the VMs were not read to the end: OSError: the kernel has changed its mind"]


def test_dear_readings_are_further_apart_and_that_is_told() -> None:
    def is_far(one: VmSecond | VmWeights) -> bool:
        return isinstance(one, VmSecond) and one.wall_ns > 1.5 * NS_PER_S  # 0.1 s may be spent every 2 s

    _, notes = watch(FakeSampler(cost_ns=NS_PER_S // 10), lambda kept: any(map(is_far, kept)))
    (note,) = notes
    assert "s apart, because each reading takes 0.10 s of a core" in note


def test_without_places_nothing_is_read() -> None:
    sampler = FakeSampler()
    assert watch(sampler, lambda kept: True, places={}) == ([], [])
    assert sampler.readings == 0


@pytest.mark.parametrize(
    ("begin_s", "end_s", "window"), [(0.0, 1.0, -1), (9.6, 10.6, 0), (9.4, 10.4, -1), (19.5, 20.5, 0), (19.6, 20.6, -1)]
)
def test_a_reading_belongs_to_the_window_that_has_half_of_it(begin_s: float, end_s: float, window: int) -> None:
    ten_s = 10 * NS_PER_S
    phases = Phases(ramp_up_ns=ten_s, warmup_ns=0, measure_ns=ten_s, ramp_down_ns=ten_s, iterations=2)
    timeline = Timeline(phases)
    timeline.plan_segment(0, 5)
    assert timeline.window_of(round(begin_s * NS_PER_S) + 5, round(end_s * NS_PER_S) + 5) == window
