"""The result of a search for a capacity: its runs, and the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from loadgen.model.errors import ExitCode
from loadgen.model.units import NS_PER_S, format_duration
from loadgen.verdict.capacity import Capacity, Found, Search, Seen, Trial
from loadgen.verdict.result import Verdict


class Wanted(Enum):
    """The number that a search varies; the value is its word in `--find` and in records."""

    CONNECTIONS = "connections"
    VMS = "vms"
    RATE = "rate"

    def words(self, number: int) -> str:
        """The number with its unit: `20 connections per VM`, `1 VM`, `800 requests/s`."""
        return f"{number:,} {_UNITS[self][number != 1]}"


_UNITS = {
    Wanted.CONNECTIONS: ("connection per VM", "connections per VM"),
    Wanted.VMS: ("VM", "VMs"),
    Wanted.RATE: ("request/s", "requests/s"),
}

_NOT_OVER = "the search is not over"

_SEEN = {
    Verdict.CONFORMING: Seen.HELD,
    Verdict.NOT_CONFORMING: Seen.FAILED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FindStep:
    """A run of the search, at the number `value`.

    `record` is the directory of the run's record, relative to the search's.  `reached` is what the servers did: the
    conforming connections of all VMs, of `asked`; or the completed requests per second, of the rate `asked`.  It is
    None in a run that says nothing about them.  `p99_ms`: the 99th percentile of the response time, a lower bound when
    requests failed; None when not known.
    `stopped_early`: the run was stopped when it was certain that it would not conform; then `reached` and `p99_ms` are
    those of what was played.  `took_s`: with the start and the end of its servers, None when not known.
    `started`: False for a run that could not start; it has no record, and its only reason is why.
    """

    value: int
    record: str
    verdict: Verdict
    reasons: tuple[str, ...]
    asked: float
    reached: float | None
    p99_ms: float | None
    stopped_early: bool = False
    took_s: float | None = None
    started: bool = True

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the run alone."""
        return self.verdict.exit_code

    @property
    def trial(self) -> Trial:
        """What the search sees of the run."""
        return Trial(self.value, _SEEN.get(self.verdict, Seen.UNKNOWN))


@dataclass(frozen=True, slots=True, kw_only=True)
class Find:
    """The search for the greatest number `wanted` at which runs conform, and its runs in their order."""

    wanted: Wanted
    search: Search
    steps: tuple[FindStep, ...] = ()

    @property
    def capacity(self) -> Capacity:
        """The answer of the runs so far."""
        return self.search.answer(trials_of(self.steps))

    @property
    def interrupted(self) -> bool:
        """Whether the user stopped the last run."""
        return bool(self.steps) and self.steps[-1].verdict is Verdict.INTERRUPTED

    @property
    def verdict(self) -> Verdict:
        """CONFORMING: there is an answer.  NOT CONFORMING: not even the smallest number conforms."""
        capacity = self.capacity
        if self.interrupted:
            return Verdict.INTERRUPTED
        if capacity.found is Found.NONE:
            return Verdict.NOT_CONFORMING
        return Verdict.CONFORMING if capacity.value else Verdict.INVALID

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the command."""
        return self.verdict.exit_code

    @property
    def reasons(self) -> tuple[str, ...]:
        """The answer in sentences."""
        return tuple(_sentences(self))


def trials_of(steps: Sequence[FindStep]) -> list[Trial]:
    """What the search sees of the runs; it does not see a run that the user stopped."""
    return [step.trial for step in steps if step.verdict is not Verdict.INTERRUPTED]


def _sentences(find: Find) -> list[str]:
    capacity, words, search = find.capacity, find.wanted.words, find.search
    counts = _Counts(find)
    upper = f" and at most {words(capacity.high)}" if capacity.high else ""
    said: list[str] = []
    match capacity.found:
        case Found.EXACT:
            top = min(step.value for step in find.steps if step.value > capacity.high)
            said += [counts.of(capacity.value), counts.of(top), *counts.not_started(top)]
        case Found.VARYING:
            said.append(
                f"the capacity varies from run to run: at {words(capacity.value)} about half of the runs conform; "
                f"that number lies between {capacity.low:,} and {capacity.high:,} with a probability of about 95 %"
            )
            said.append(counts.spread())
        case Found.AT_LEAST if capacity.invalid_above:
            said.append(
                f"the capacity is at least {words(capacity.value)}{upper}; the next runs above {capacity.value:,} were "
                "not valid, so they say nothing about the servers"
            )
        case Found.AT_LEAST if counts.disagree:
            said.append(
                f"runs disagree, but most runs conform even at {words(search.greatest)}, the greatest number that the "
                f"search may try: the capacity is at least {words(capacity.value)}"
            )
            said.append(counts.spread())
        case Found.AT_LEAST:
            said.append(
                f"the capacity is at least {words(capacity.value)}, the greatest number that the search may try"
            )
        case Found.NONE:
            said.append(f"{counts.of(search.least)}, which is the smallest number")
            said += counts.not_started(search.least)
        case Found.UNKNOWN if capacity.high:
            said.append(f"no run conforms; at fewer than {words(capacity.high + 1)}, the runs were not valid")
        case Found.UNKNOWN:
            said.append("no run was valid, so nothing is known about the servers")
        case Found.OPEN if capacity.disagree:
            said.append(
                f"{_NOT_OVER}, and its runs disagree: a first estimate is that about half of the runs conform at "
                f"{words(capacity.value)}; the further runs that make an interval of it are missing"
            )
            said.append(counts.spread())
        case Found.OPEN:
            least = f"the capacity is at least {words(capacity.value)}{upper}"
            so_far = least if capacity.value else "no run conforms yet"
            ended = f"the search ended after {search.runs} runs" if len(find.steps) >= search.runs else _NOT_OVER
            said.append(f"{ended}: {so_far}")
    if capacity.contradiction is not None:
        failed, held = capacity.contradiction
        said.append(f"the curve is not monotonic: {counts.of(failed)}, but {counts.of(held)}")
    over = [step for step in find.steps if step.verdict is not Verdict.INTERRUPTED]
    if invalid := [step for step in over if step.trial.seen is Seen.UNKNOWN]:
        why = f": {invalid[-1].reasons[0]}" if invalid[-1].reasons else ""
        said.append(
            f"{len(invalid)} of {len(over)} runs were not valid and do not count; the last one, at "
            f"{words(invalid[-1].value)}{why}"
        )
    return [*said, *_on_time(find)]


def _on_time(find: Find) -> list[str]:
    took_s = [step.took_s for step in find.steps if step.took_s is not None]
    if not took_s:
        return []
    early = sum(step.stopped_early for step in find.steps)
    count = f"{len(took_s)} run{'s' * (len(took_s) != 1)}"
    more = f"; stopped early, because they could not conform any more: {early}" if early else ""
    return [f"{count} took {format_duration(round(sum(took_s)) * NS_PER_S)}{more}"]


class _Counts:
    """How many of the valid runs at a number conform."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self._trials = trials_of(find.steps)
        self._words = find.wanted.words

    def of(self, value: int) -> str:
        """Like `2 of 3 runs conform at 7 VMs`."""
        seen = [trial.seen for trial in self._trials if trial.value == value and trial.seen is not Seen.UNKNOWN]
        held = seen.count(Seen.HELD)
        verb = "conforms" if held == 1 else "conform"
        return f"{held} of {len(seen)} run{'s' if len(seen) != 1 else ''} {verb} at {self._words(value)}"

    @property
    def disagree(self) -> bool:
        """Whether a run fails at a number at which, or above which, another one conforms."""
        failed = [trial.value for trial in self._trials if trial.seen is Seen.FAILED]
        held = [trial.value for trial in self._trials if trial.seen is Seen.HELD]
        return bool(failed and held) and max(held) >= min(failed)

    def spread(self) -> str:
        """The numbers between which some runs conform and others do not; there must be both."""
        failed = min(trial.value for trial in self._trials if trial.seen is Seen.FAILED)
        held = max(trial.value for trial in self._trials if trial.seen is Seen.HELD)
        return (
            f"the smallest number with a run that does not conform is {self._words(failed)}, "
            f"the greatest with one that does is {held:,}"
        )

    def not_started(self, value: int) -> list[str]:
        """A sentence on why runs at a number did not start; nothing when all of them did."""
        why = [step.reasons[0] for step in self._find.steps if step.value == value and not step.started]
        return [f"{self._words(value)} did not start: {why[-1]}"] if why else []
