"""The search for a capacity: the greatest number at which runs hold, found from the outcomes of runs at several ones.

The search is pure: equal trials give the same next number, so a search can be resumed.  It doubles from `start` until a
run fails, bisects, and then repeats runs at the greatest number that held and one step above.  When runs disagree, the
capacity varies from run to run: then further runs are placed where they tell most, and the answer is the number at
which half of the runs hold (:mod:`loadgen.verdict.threshold`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from loadgen.model.errors import PlanError
from loadgen.verdict.threshold import Threshold, fit

_TRIES = 2  # runs at a number without a valid one, before the number is given up
_HOPELESS = 3  # numbers without a valid run, and none with one: smaller numbers will not help
_STEPS = 50  # without a given step: the first number that failed is this many steps
_VARYING_RUNS = 16  # runs near the threshold, when runs disagree
_NEAR = 4.0  # scales of the threshold
_UNBOUNDED_RUNS = 7  # a guess: two to find an upper end, five to bisect


class Seen(Enum):
    """What a run said about its number."""

    HELD = "held"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """The run was not valid, so it says nothing about the servers."""


@dataclass(frozen=True, slots=True)
class Trial:
    """The outcome of a run at the number `value`."""

    value: int
    seen: Seen


class Found(Enum):
    """The kind of an answer."""

    EXACT = "exact"
    """All runs at the answer held, all runs one step above failed, and no run disagrees."""
    VARYING = "varying"
    """Runs disagree.  At the answer, half of the runs hold."""
    AT_LEAST = "at least"
    """Nothing is known above the answer.  All runs at it held, or most of them at the greatest number."""
    NONE = "none"
    """Not even the smallest number held."""
    UNKNOWN = "unknown"
    """No run held, and the runs at the smallest numbers were not valid."""
    OPEN = "open"
    """The search was stopped before its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """The answer of a search.

    `value` is the capacity, 0 without one.  It lies between `low` and `high`, both included; `high` is 0 when nothing
    above is known.  `invalid_above`: the runs above were not valid, so they say nothing about the servers.
    `disagree`: a run failed at a number at which, or above which, another one held; then all three are an estimate.
    `contradiction` is a pair (a, b), a < b, if there is one: most runs at a failed, and most runs at b held.
    """

    found: Found
    value: int = 0
    low: int = 0
    high: int = 0
    step: int = 1
    invalid_above: bool = False
    disagree: bool = False
    contradiction: tuple[int, int] | None = None

    @property
    def qualifier(self) -> str:
        """What stands before the value in words: nothing, `about `, or `at least `."""
        if self.found is Found.EXACT:
            return ""
        return "about " if self.disagree else "at least "


@dataclass(frozen=True, kw_only=True)
class Search:
    """The rules of a search over whole numbers from `least` to `greatest`, beginning at `start`.

    `step` is the resolution; 0 takes a fiftieth of the smallest number that failed, at least 1.  `repeats` runs confirm
    the answer, and as many one step above.  The search ends after `runs` runs in any case.  Raises PlanError when the
    numbers contradict each other.
    """

    start: int
    least: int = 1
    greatest: int = 1 << 20
    step: int = 0
    repeats: int = 4
    runs: int = 40

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.start <= self.greatest:
            raise PlanError(
                f"a search from {self.least} to {self.greatest} cannot begin at {self.start}",
                hint="begin at a number between them",
            )
        if self.step < 0 or self.repeats < 1 or self.runs < 1:
            raise PlanError("a search needs a step of at least 1, at least 1 repeat, and at least 1 run")

    def next(self, trials: Sequence[Trial]) -> int | None:
        """The number of the next run; None when the search is over."""
        if len(trials) >= self.runs:
            return None
        seen = _Seen(trials)
        if not trials:
            return self.start
        if (again := seen.unsettled()) is not None:
            return again
        if seen.disagree:
            return self._near_the_threshold(seen)
        low, high = seen.bracket
        if low is None:
            assert high is not None  # every settled number held, failed or was given up
            if high <= self.least:
                return self._confirm(seen, high)
            hopeless = not seen.failed and len(seen.given_up) >= _HOPELESS
            return None if hopeless else max(self.least, high // 2)
        if high is None:
            return min(self.greatest, 2 * low) if low < self.greatest else self._confirm(seen, low)
        if high - low > self._step(seen):
            return low + (high - low) // 2
        # A number that was given up bounds nothing: then the smallest number that failed is confirmed, if there is one.
        return self._confirm(seen, low, min(seen.failed, default=high) if high in seen.given_up else high)

    def answer(self, trials: Sequence[Trial]) -> Capacity:
        """What the trials say."""
        seen, over = _Seen(trials), self.next(trials) is None
        low, high = seen.bracket
        step = self._step(seen)
        if seen.disagree:
            threshold = seen.threshold()
            found, value = Found.VARYING, self._allowed(threshold.middle)
            low, high = self._allowed(threshold.low), self._allowed(threshold.high)
            if threshold.middle > self.greatest:  # half of the runs fail only at numbers that may not be tried
                found, value, high = Found.AT_LEAST, low, 0
            return Capacity(
                found=found if over else Found.OPEN,
                value=value,
                low=low,
                high=high,
                step=step,
                disagree=True,
                contradiction=seen.contradiction(),
            )
        ours = high in seen.given_up
        beyond = min(seen.failed, default=0)
        if low is None:
            found = Found.UNKNOWN if ours else Found.NONE
        elif high is None or ours:
            found = Found.AT_LEAST
        else:
            found = Found.EXACT if high - low <= step else Found.OPEN
        return Capacity(
            found=found if over else Found.OPEN,
            value=low or 0,
            low=low or 0,
            high=beyond - 1 if beyond else 0,
            step=step,
            invalid_above=ours,
        )

    def runs_left(self, trials: Sequence[Trial]) -> int:
        """About how many runs are left, for the user; 0 when the search is over."""
        if self.next(trials) is None:
            return 0
        seen = _Seen(trials)
        low, high = seen.bracket
        if seen.disagree:
            left = _VARYING_RUNS - sum(self._near(seen)[1])
        elif low is None or high is None:
            left = _UNBOUNDED_RUNS + 2 * self.repeats
        else:
            steps = -(-(high - low) // self._step(seen))
            repeated = seen.lacks(low, self.repeats) + seen.lacks(high, self.repeats)
            left = (steps - 1).bit_length() + (2 * (self.repeats - 1) if steps > 1 else repeated)
        return max(1, min(left, self.runs - len(trials)))

    def _step(self, seen: _Seen) -> int:
        return self.step or max(1, min(seen.failed, default=0) // _STEPS)

    def _confirm(self, seen: _Seen, *values: int) -> int | None:
        """One of `values` that lacks runs; None when none lacks any."""
        lacking = [value for value in values if seen.lacks(value, self.repeats)]
        turn = _uneven_turn(sum(seen.lacks(value, self.repeats) for value in lacking))
        return lacking[turn % len(lacking)] if lacking else None

    def _allowed(self, number: float) -> int:
        """The whole number below `number`, or the nearest one that may be tried."""
        return min(self.greatest, max(self.least, int(number)))

    def _near(self, seen: _Seen) -> tuple[Threshold, tuple[int, int], float]:
        threshold = seen.threshold()
        scale = max(threshold.scale, self._step(seen))
        return threshold, seen.near(threshold, scale), scale

    def _near_the_threshold(self, seen: _Seen) -> int | None:
        """A number one scale above or below the threshold: there a run tells most about threshold and scale."""
        threshold, (below, above), scale = self._near(seen)
        if below + above >= _VARYING_RUNS:
            return None
        is_above = above < below or (above == below and not _uneven_turn(above))
        value = self._allowed(round(threshold.middle + (scale if is_above else -scale)))
        return None if value in seen.given_up else value


def _uneven_turn(number: int) -> int:
    """Which of two, 0 or 1, has the turn `number` (Thue and Morse).

    Plain turns would be in step with a capacity that changes from run to run: each number would meet only half of it.
    """
    return number.bit_count() % 2


class _Seen:
    """The trials, counted by number."""

    def __init__(self, trials: Iterable[Trial]) -> None:
        counts: dict[Seen, Counter[int]] = {seen: Counter() for seen in Seen}
        for trial in trials:
            counts[trial.seen][trial.value] += 1
        self.held, self.failed, self._unknown = counts.values()
        self.given_up = {value for value, tries in self._unknown.items() if tries >= _TRIES and not self._valid(value)}

    @property
    def disagree(self) -> bool:
        """Whether a run failed at a number at which, or above which, another one held."""
        return bool(self.held and self.failed) and max(self.held) >= min(self.failed)

    @property
    def bracket(self) -> tuple[int | None, int | None]:
        """The greatest number that held, and the smallest one above it that failed or was given up."""
        low = max(self.held, default=None)
        beyond = [value for value in (*self.failed, *self.given_up) if low is None or value > low]
        return low, min(beyond, default=None)

    def unsettled(self) -> int | None:
        """A number without a valid run that is tried again."""
        return next((value for value in self._unknown if not self._valid(value) and value not in self.given_up), None)

    def lacks(self, value: int, repeats: int) -> int:
        """How many valid runs `value` lacks; 0 where many more runs are not valid than are."""
        valid = self._valid(value)
        return 0 if self._unknown[value] >= _TRIES + valid else max(0, repeats - valid)

    def threshold(self) -> Threshold:
        """The threshold, when there are runs that held and runs that failed."""
        return fit(list(self.held.elements()), list(self.failed.elements()))

    def near(self, threshold: Threshold, scale: float) -> tuple[int, int]:
        """The number of runs near the threshold: below it, and from it on."""
        numbers = [*self.held.elements(), *self.failed.elements()]
        below = sum(0 < threshold.middle - number <= _NEAR * scale for number in numbers)
        return below, sum(0 <= number - threshold.middle <= _NEAR * scale for number in numbers)

    def contradiction(self) -> tuple[int, int] | None:
        """The smallest number at which most runs failed, and a greater one, the greatest, at which most held."""
        failed = min((value for value, count in self.failed.items() if count > self.held[value]), default=None)
        held = max((value for value, count in self.held.items() if count > self.failed[value]), default=None)
        return (failed, held) if failed is not None and held is not None and failed < held else None

    def _valid(self, value: int) -> int:
        return self.held[value] + self.failed[value]
