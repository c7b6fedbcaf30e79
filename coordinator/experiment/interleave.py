"""The experiment that plays several plans in turns, so that what changes on the machine meets all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from coordinator.experiment.api import Answer, Done, Next, Progress
from coordinator.experiment.repeat import kept, length_ns
from coordinator.record.interleaved_result import Interleaved
from coordinator.record.kinds import KIND_HTTP, KIND_HTTP_COMPARE, KIND_SPEC, KIND_SPEC_COMPARE
from loadgen.model.plan import SpecPlan
from loadgen.verdict.compare_result import Limit, Unlike
from loadgen.verdict.result import Verdict
from loadgen.verdict.unlike import of_environment, unlike


@dataclass(frozen=True, slots=True, kw_only=True)
class Interleave:
    """Plays each of `plans` once in each of `rounds` rounds; all plans are of the same kind.

    The order turns around from round to round (A B, B A, A B): then a steady drift favours none of them.
    """

    plans: tuple[Any, ...]
    files: tuple[str, ...]
    rounds: int
    limits: tuple[Limit, ...] = ()

    @property
    def runs(self) -> str:
        """The kind of the runs."""
        return KIND_SPEC if isinstance(self.shown, SpecPlan) else KIND_HTTP

    @property
    def kind(self) -> str:
        """The kind of the record, which compares the runs."""
        return KIND_SPEC_COMPARE if isinstance(self.shown, SpecPlan) else KIND_HTTP_COMPARE

    @property
    def shown(self) -> Any:
        """The first plan."""
        return self.plans[0]

    def plan(self, done: Done) -> Next[Any] | Answer:
        """Return the next run; the answer after the last round, or when the user interrupted a run."""
        if len(done) >= self._all or (done and done[-1].result.verdict is Verdict.INTERRUPTED):
            return self.answer(done)
        number, side = len(done) // len(self.plans) + 1, self.side(len(done))
        name = chr(ord("A") + side)
        return Next(
            plan=self.plans[side],
            record=f"{name.lower()}-{number}",
            label=f"{name} ({self.files[side]}), round {number}",
        )

    def answer(self, done: Done) -> Answer:
        """Return what the runs say so far."""
        runs = tuple(kept(one, self.side(place)) for place, one in enumerate(done))
        found = Interleaved(
            plans=self.plans,
            files=self.files,
            rounds=self.rounds,
            limits=self.limits,
            runs=runs,
            environments=self._environments(done),
        )
        return Answer(found)

    def _environments(self, done: Done) -> tuple[Unlike, ...] | None:
        """What differs in machine and software; None as long as it is not known of each plan, or not of each run."""
        known = [(self.side(place), one.document.get("environment")) for place, one in enumerate(done)]
        if {side for side, _ in known} != set(range(len(self.plans))) or any(about is None for _, about in known):
            return None
        own = [(side, of_environment(about)) for side, about in known if about is not None]
        return unlike([[about for side, about in own if side == at] for at in range(len(self.plans))])

    def progress(self, done: Done) -> Progress:
        """Return the progress; every run takes as long as its plan says."""
        left_ns = sum(length_ns(self.plans[self.side(place)]) for place in range(len(done), self._all))
        return Progress(runs=self._all, left_ns=left_ns)

    def side(self, place: int) -> int:
        """Which plan the run at `place`, from 0, plays."""
        number, at = divmod(place, len(self.plans))
        return at if number % 2 == 0 else len(self.plans) - 1 - at

    @property
    def _all(self) -> int:
        return self.rounds * len(self.plans)
