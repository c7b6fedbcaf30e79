"""The result of a run with `--check-headroom`: the runs that were played, and how far the load generator was from its
limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from loadgen.model.errors import ExitCode
from loadgen.verdict.headroom import AMPLE_TIMES, MAX_GAIN, Headroom, Limit, Pace, judge_headroom
from loadgen.verdict.result import Verdict


class Role(Enum):
    """The purpose of a run; the value is also the directory of its record."""

    RUN = "run"
    """The run that is asked about."""
    MORE = "one-engine-more"
    """The same with one engine more, on each load machine."""
    ALONE = "null-responder"
    """The load generator alone: as fast as it can, against a null responder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadroomStep:
    """A run.

    `engines`: on each load machine.  `per_s`: completed requests per second; None in a run that the user stopped.
    `busy_share`: share of the time (0..1) in which the busiest engine worked or waited for a core; None where it is not
    known.
    """

    role: Role
    verdict: Verdict
    reasons: tuple[str, ...]
    engines: int
    per_s: float | None
    busy_share: float | None

    @property
    def pace(self) -> Pace | None:
        """What the rule needs of the run; None when the run says nothing."""
        return None if self.per_s is None else Pace(per_s=self.per_s, busy=self.busy_share)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadroomResult:
    """The runs in their order, at most one of each role.  `left_out`: by role, why a run is not played."""

    steps: tuple[HeadroomStep, ...] = ()
    left_out: tuple[tuple[Role, str], ...] = ()

    def step(self, role: Role) -> HeadroomStep | None:
        """The run of this role; None when it was not played."""
        return next((step for step in self.steps if step.role is role), None)

    @property
    def headroom(self) -> Headroom:
        """The answer of the runs so far."""
        paces = {step.role: step.pace for step in self.steps}
        return judge_headroom(paces.get(Role.RUN), paces.get(Role.MORE), paces.get(Role.ALONE))

    @property
    def verdict(self) -> Verdict:
        """The verdict of the run; INVALID when the load generator was the limit of a run that seemed valid."""
        if not self.steps or any(step.verdict is Verdict.INTERRUPTED for step in self.steps):
            return Verdict.INTERRUPTED
        own = self.steps[0].verdict
        is_limit = self.headroom.limit is Limit.GENERATOR
        return Verdict.INVALID if is_limit and own in (Verdict.CONFORMING, Verdict.NOT_CONFORMING) else own

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the command."""
        return self.verdict.exit_code

    @property
    def reasons(self) -> tuple[str, ...]:
        """The answer in sentences, and the reasons of the run."""
        own = self.steps[0].reasons if self.steps else ()
        return (*_sentences(self), *(f"the run: {reason}" for reason in own))


_MANY = 10  # from this multiple on, it is written as a whole number

_ANSWERS = {
    Limit.GENERATOR: "the load generator was the limit: the servers may do better",
    Limit.NEAR: "the load generator was not the limit, but near it",
    Limit.FAR: "the load generator was far from being the limit",
    Limit.UNKNOWN: "whether the load generator was the limit is not known",
}


def _sentences(result: HeadroomResult) -> Iterator[str]:
    found = result.headroom
    yield _ANSWERS[found.limit]
    run, alone, more = (result.step(role) for role in (Role.RUN, Role.ALONE, Role.MORE))
    if run and alone and run.per_s and alone.per_s is not None and found.times is not None:
        least = "at least " if found.at_least else ""
        times = f"{found.times:.2f}" if found.times < _MANY else f"{found.times:,.0f}"
        yield (
            f"against a null responder, the load generator alone reaches {least}{times} times the rate: "
            f"{alone.per_s:,.0f} instead of {run.per_s:,.0f} requests/s"
        )
    if more and found.gain is not None:
        percent = round(100 * found.gain, 1) + 0.0  # no -0.0
        yield f"with one engine more ({more.engines}), the rate changes by {percent:+.1f} %"
    for _, why in result.left_out:
        yield why
    if found.limit is Limit.UNKNOWN and (why := _why_unknown(result)):
        yield why


def _why_unknown(result: HeadroomResult) -> str:
    """Why the runs do not say whether the load generator was the limit; "" when a run is missing."""
    found, run = result.headroom, result.step(Role.RUN)
    if run is None or not run.per_s:
        return "the run completed no request, so there is no rate to compare with" if run else ""
    if found.gain is not None and found.gain > MAX_GAIN:
        return (
            "these runs contradict each other: the rate rose with one engine more, although the engines had time left; "
            "something else changed between the runs, so repeat them on a quiet machine"
        )
    if found.at_least and found.times is not None and found.times < AMPLE_TIMES:
        return (
            "against the null responder, the engines had time left: the responder or the number of connections was the "
            "limit there; give more connections"
        )
    return ""
