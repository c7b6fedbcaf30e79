"""Records when the segments of a run were played, and names the phase at any time.  Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from coordinator.run.state import State
from loadgen.engine.api import Segment
from loadgen.model.plan import Phases
from loadgen.model.units import NS_PER_S

_WAKING_NS = 5_000_000  # a worker that begins later than this has started late

_BETWEEN = {
    State.PREPARING: "preparing",
    State.RESETTING: "resetting",
    State.STOPPING: "stopping",
    State.AUDITING: "comparing logs",
    State.FINISHED: "finished",
}


@dataclass(slots=True)
class Timeline:
    """Times are CLOCK_MONOTONIC ns of the coordinator.

    `origin_ns` is the start of the first segment, 0 before that start.  `began_ns` holds by iteration when each worker
    began.  `done_ns` holds by iteration when each worker had done its given number of operations, or the end of the
    segment.  `stopped_ns` is when the traffic was stopped before its planned end; 0 without such a stop.
    """

    phases: Phases
    origin_ns: int = 0
    segments: dict[int, Segment] = field(default_factory=dict)
    began_ns: dict[int, dict[str, int]] = field(default_factory=dict)
    stopped_ns: int = 0
    done_ns: dict[int, dict[str, int]] = field(default_factory=dict)

    def plan_segment(self, iteration: int, start_ns: int) -> Segment:
        """Add the segment of an iteration that starts at `start_ns`."""
        self.origin_ns = self.origin_ns or start_ns
        window_start_ns = start_ns + self.phases.lead_ns(iteration)
        segment = Segment(
            index=iteration,
            origin_ns=self.origin_ns,
            start_ns=start_ns,
            window_start_ns=window_start_ns,
            window_end_ns=window_start_ns + self.phases.measure_ns,
            end_ns=start_ns + self.phases.length_ns(iteration),
        )
        self.segments[iteration] = segment
        return segment

    def last_intervals(self) -> dict[int, int]:
        """Return by iteration the last interval in which any of its window was played."""
        end_ns = self.stopped_ns or max((one.end_ns for one in self.segments.values()), default=0)
        return {
            iteration: (min(end_ns, segment.window_end_ns) - self.origin_ns - 1) // NS_PER_S
            for iteration, segment in self.segments.items()
        }

    def window_of(self, begin_ns: int, end_ns: int) -> int:
        """Return the iteration whose measured window has at least half of the time; -1 if none has."""
        for iteration, one in self.segments.items():
            if 2 * (min(end_ns, one.window_end_ns) - max(begin_ns, one.window_start_ns)) >= end_ns - begin_ns:
                return iteration
        return -1

    def measured_ns(self, now_ns: int) -> dict[int, int]:
        """Return by iteration how much of its window all workers have played up to `now_ns`."""
        end_ns = self.stopped_ns or now_ns
        return {
            iteration: max(0, min(end_ns, self._over_ns(iteration, segment)) - self._all_began_ns(iteration, segment))
            for iteration, segment in self.segments.items()
        }

    def _over_ns(self, iteration: int, segment: Segment) -> int:
        """Return when the window was over: when the last worker had done its operations, or at its planned end."""
        return min(segment.window_end_ns, max(self.done_ns.get(iteration, {}).values(), default=segment.window_end_ns))

    def is_done(self, iteration: int) -> bool:
        """Return whether the iteration ended because the given number of operations was done."""
        done = self.done_ns.get(iteration, {})
        return bool(done) and max(done.values()) < self.segments[iteration].window_end_ns

    def _all_began_ns(self, iteration: int, segment: Segment) -> int:
        """Return when the window began for all workers: a worker that starts late shortens the window for all."""
        latest_ns = max(self.began_ns.get(iteration, {}).values(), default=0)
        return max(segment.window_start_ns, latest_ns - _WAKING_NS)

    @property
    def total_ns(self) -> int:
        """The planned time of all iterations, without the pauses between them."""
        return sum(self.phases.length_ns(i) for i in range(self.phases.iterations))

    def phase(self, state: State, iteration: int, now_ns: int) -> tuple[str, int, int]:
        """Return the phase at `now_ns`: its name, its time so far, and its planned length, in ns (0: not known)."""
        if state is not State.PLAYING:
            return _BETWEEN[state], 0, 0
        phases, at_ns = self.phases, now_ns - self.segments[iteration].start_ns
        parts = (
            ("ramp-up", phases.ramp_up_ns),
            ("warm-up", phases.warmup_ns if iteration == 0 else 0),
            ("measuring", phases.measure_ns),
            ("ramp-down", phases.ramp_down_ns),
        )
        for name, length_ns in parts:
            if at_ns < length_ns:
                return name, max(0, at_ns), length_ns
            at_ns -= length_ns
        return "ramp-down", phases.ramp_down_ns, phases.ramp_down_ns
