"""Joins what load machines say of each second to the measured windows, and decides which seconds are left out.  Pure.

Memory is bounded by the number of disturbed seconds: a second is dropped once it is decided and added up.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from loadgen.measure.disturbance import EngineSecond, MachineSecond
from loadgen.measure.snapshot import Health
from loadgen.model.units import NS_PER_S
from loadgen.verdict.disturbance import Observed
from loadgen.verdict.disturbance_rules import Cause, causes_of

_COUNTED_NS = NS_PER_S // 2  # a second belongs to a window that has at least half of it


@dataclass(frozen=True, slots=True)
class _Part:
    """The part of one interval that lies in a measured window."""

    window: int
    length_ns: int
    reaches_on: bool  # whether the window reaches to the end of the interval, or further


@dataclass(slots=True)
class CoreUse:
    """What others used beside one engine in the seconds of a window, and the quota of its machine in them."""

    others_ns: int = 0
    core_ns: int = 0
    by_name: Counter[str] = field(default_factory=Counter)
    periods: int = 0
    throttled_periods: int = 0
    knows_others: bool = True
    knows_quota: bool = True

    @property
    def share(self) -> float | None:
        """The share (0..1) of the time of the engine's cores that others used; None when not known."""
        return self.others_ns / self.core_ns if self.knows_others and self.core_ns else None

    @property
    def throttled(self) -> float | None:
        """The share (0..1) of the quota's periods in which it was used up; None when not known."""
        return (self.throttled_periods / max(1, self.periods)) if self.knows_quota else None

    def add(self, second: MachineSecond, engine: EngineSecond) -> None:
        """Add one second."""
        others_ns = engine.others_ns + max(0, engine.stolen_ns)
        self.knows_others &= engine.others_ns >= 0
        self.knows_quota &= second.periods >= 0
        self.others_ns += others_ns
        self.core_ns += engine.core_ns
        self.periods += second.periods
        self.throttled_periods += second.throttled_periods
        self.by_name[engine.most] += engine.others_ns
        self.by_name["the hypervisor"] += engine.stolen_ns


Uses = dict[int, dict[tuple[str, str], CoreUse]]
"""By window, then by machine and worker."""


class Disturbances:
    """What the load machines of a run said of its seconds.

    `health_at` returns what a worker said of itself in an interval.  A second is decided when :meth:`is_left_out` is
    asked for it or a later one: all reports of it must have been added by then, and later ones are ignored.
    """

    def __init__(self, health_at: Callable[[str, int], Health | None] = lambda worker, interval: None) -> None:
        self.health_at = health_at
        self._seconds: defaultdict[int, list[MachineSecond]] = defaultdict(list)  # not decided yet, by each interval
        self._newest = -1
        self._decided = 0  # intervals before it are
        self._was_disturbed = False  # the last decided interval
        self._causes: list[tuple[str, int, Cause]] = []
        self._left_out: dict[int, _Part] = {}
        self._observed: Counter[str] = Counter()
        self._disturbed: Counter[str] = Counter()
        self._measured_s = self._disturbed_s = 0
        self._uses: tuple[Uses, Uses] = defaultdict(dict), defaultdict(dict)  # of all seconds, of those that are left

    def add(self, second: MachineSecond) -> None:
        """Add what a machine said."""
        if second.interval < self._decided:
            return
        for interval in range(second.interval, second.interval + second.span):
            self._seconds[interval].append(second)
            self._newest = max(self._newest, interval)

    def is_left_out(self, interval: int) -> bool:
        """Whether operations that ended in the interval are left out when the run is judged again.

        They are left out of a disturbed second, and of the second after it, in which operations end that were under
        way.  A second in which a window ends is never left out, because what is unanswered there has waited since long
        before: to leave it out could hide that servers are silent.
        """
        while self._decided <= interval:
            self._decide(self._decided)
            self._decided += 1
        return interval in self._left_out

    def decide_all(self) -> None:
        """Decide all seconds: the run is over."""
        self.is_left_out(self._newest)

    @property
    def left_out(self) -> frozenset[int]:
        """The decided intervals that are left out."""
        return frozenset(self._left_out)

    def left_out_ns(self, window: int) -> int:
        """How much of a window is left out."""
        return sum(part.length_ns for part in self._left_out.values() if part.window == window)

    @property
    def causes(self) -> tuple[tuple[str, int, Cause], ...]:
        """(machine, interval, cause) of each disturbed second of a measured window."""
        return tuple(self._causes)

    @property
    def counted(self) -> tuple[int, int]:
        """The seconds of measured windows that were watched on any machine, and those that were disturbed on any."""
        return self._measured_s, self._disturbed_s

    @property
    def machines(self) -> tuple[Observed, ...]:
        """The same by machine."""
        return tuple(
            Observed(machine=name, seconds=seconds, disturbed=self._disturbed[name])
            for name, seconds in sorted(self._observed.items())
        )

    def uses(self, window: int, *, rest: bool) -> Mapping[tuple[str, str], CoreUse]:
        """By machine and worker: what others used in the seconds that lie wholly in a window.

        `rest`: only in those that are not left out.
        """
        return self._uses[rest].get(window, {})

    def _decide(self, interval: int) -> None:
        seconds = self._seconds.pop(interval, [])
        parts = [part for part in (_part(second, interval) for second in seconds) if part is not None]
        part = max(parts, key=lambda one: one.length_ns, default=None)
        counts = part is not None and part.length_ns >= _COUNTED_NS
        disturbed = set()
        for second in seconds:
            health = {one.worker: self.health_at(one.worker, interval) for one in second.engines}
            causes = causes_of(second, {worker: one for worker, one in health.items() if one is not None})
            if causes:
                disturbed.add(second.machine)
            if counts and _part(second, interval) is not None:
                self._causes += [(second.machine, interval, cause) for cause in causes]
        if part is not None and part.reaches_on and (disturbed or self._was_disturbed):
            self._left_out[interval] = part
        self._was_disturbed = bool(disturbed)
        if counts:
            machines = {second.machine for second in seconds}
            self._observed.update(machines)
            self._disturbed.update(machines & disturbed)
            self._measured_s += 1
            self._disturbed_s += bool(disturbed)
        for second in seconds:
            if second.interval == interval and second.window_ns == second.span * NS_PER_S:
                self._add_up(second)

    def _add_up(self, second: MachineSecond) -> None:
        for uses in self._uses if second.interval not in self._left_out else self._uses[:1]:
            for engine in second.engines:
                use = uses[second.window].setdefault((second.machine, engine.worker), CoreUse())
                use.add(second, engine)


def _part(second: MachineSecond, interval: int) -> _Part | None:
    """The part of `interval`, one of the seconds, in their measured window; None without any."""
    base_ns = (interval - second.interval) * NS_PER_S
    begin_ns, end_ns = max(second.begin_ns, base_ns), min(second.end_ns, base_ns + NS_PER_S)
    if second.window < 0 or begin_ns >= end_ns:
        return None
    return _Part(second.window, end_ns - begin_ns, end_ns == base_ns + NS_PER_S)
