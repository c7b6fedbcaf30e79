"""Reads the counters of VMs beside the traffic: once a second, or less often where that would take much of a core."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self

from coordinator.run.timeline import Timeline
from deploy.counters.place import VmPlace
from deploy.counters.sampler import Sample, VmSampler, between
from loadgen.measure.vm_second import UNKNOWN, VmSecond, VmWeights
from loadgen.model.units import NS_PER_S

COST_SHARE = 0.05
"""Of one core, reading takes at most this share: where one sample takes more, samples are further apart."""

_PSS_S = 1.0
_START_AGAIN_S = 0.01
_LAST_SAMPLE_S = 5.0
_MANY_S = 1.5  # from this distance of samples on, it is told


class VmWatch:
    """Watches VMs while the traffic is played.

    >>> async with VmWatch(places, names, timeline, keep) as watch:
    ...     await traffic.play()
    >>> watch.notes
    """

    def __init__(
        self,
        places: Mapping[str, VmPlace],
        names: Sequence[str],
        timeline: Timeline,
        keep: Callable[[VmSecond | VmWeights], None],
        sampler: Callable[[Sequence[VmPlace | None]], VmSampler] = VmSampler,
    ) -> None:
        """The targets `names`, of which some or all have a place; `keep` is called with all that is read."""
        self._places = [places.get(name) for name in names]
        self._timeline = timeline
        self._keep = keep
        self._make = sampler
        self._sampler: VmSampler | None = None
        self._watching: asyncio.Task[None] | None = None
        self._end = asyncio.Event()
        self._longest_ns = self._cost_ns = self._samples = 0
        self._problem = ""

    async def __aenter__(self) -> Self:
        if any(self._places):
            with self._may_fail():
                self._sampler = await asyncio.to_thread(self._make, self._places)
                await asyncio.to_thread(self._sampler.read)  # finds the processes
                await self._weigh(self._sampler, after=False)
                self._watching = asyncio.create_task(self._watch(self._sampler))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        if self._watching is not None:
            await asyncio.wait((self._watching,), timeout=_LAST_SAMPLE_S)
            if not self._watching.done():
                self._problem = self._problem or "reading them took too long"
                self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        if self._sampler is not None:
            if not self._problem and kind is None:
                with self._may_fail():
                    await self._weigh(self._sampler, after=True)
            self._sampler.close()

    @property
    def notes(self) -> list[str]:
        """Sentences for the report, when not all was read, or not once a second."""
        if self._problem:
            return [f"the counters of the VMs were not read to the end: {self._problem}"]
        if self._longest_ns > _MANY_S * NS_PER_S:
            each_s = self._cost_ns / NS_PER_S / max(1, self._samples)
            dear = each_s > COST_SHARE
            why = f"each reading takes {each_s:.2f} s of a core" if dear else "this machine was busy"
            return [f"the counters of the VMs were read up to {self._longest_ns / NS_PER_S:.1f} s apart, because {why}"]
        return []

    async def _watch(self, sampler: VmSampler) -> None:
        with self._may_fail():
            while not self._timeline.origin_ns:
                if await self._ended(_START_AGAIN_S):
                    return
            at_s = 0
            before: Sample | None = None
            while True:
                ended = await self._ended(self._timeline.origin_ns / NS_PER_S + at_s - time.monotonic())
                now = await asyncio.to_thread(sampler.read)
                if before is not None and now.at_ns > max(before.at_ns, self._timeline.origin_ns):
                    self._take(before, now)
                before = now
                if ended:
                    return
                passed_s = (now.at_ns - self._timeline.origin_ns) // NS_PER_S
                at_s = max(at_s, passed_s) + max(1, math.ceil(now.cost_ns / NS_PER_S / COST_SHARE))

    async def _ended(self, after_s: float) -> bool:
        """Wait for the end of the traffic, at most `after_s`; whether it has come."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._end.wait(), max(0.0, after_s))
        return self._end.is_set()

    def _take(self, before: Sample, now: Sample) -> None:
        window = self._timeline.window_of(before.at_ns, now.at_ns)
        self._keep(between(before, now, self._timeline.origin_ns, window))
        self._longest_ns = max(self._longest_ns, now.at_ns - before.at_ns)
        self._cost_ns += now.cost_ns
        self._samples += 1

    async def _weigh(self, sampler: VmSampler, *, after: bool) -> None:
        pss = await asyncio.to_thread(sampler.read_pss, _PSS_S)
        if any(one != UNKNOWN for one in pss):
            self._keep(VmWeights(after=after, pss_bytes=pss))

    @contextlib.contextmanager
    def _may_fail(self) -> Iterator[None]:
        """Inside the context, an error ends the reading only: counters explain a result, and must not cost it."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, the run goes on
            self._problem = f"{type(error).__name__}: {error}"
