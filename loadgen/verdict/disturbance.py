"""The disturbed seconds of a run, and whether its verdict depends on them.  Pure."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from loadgen.verdict.disturbance_rules import OTHERS, Cause

_NAMED = 2  # causes, and checks, in the sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbed:
    """Consecutive seconds `first_s` to `last_s` of the run, disturbed on `machine` by one cause, as in the worst.

    Its `who` is who used the most in more of these seconds than anybody else.
    """

    machine: str
    first_s: int
    last_s: int
    cause: Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """A load machine: how many seconds of measured windows were watched, and how many of them were disturbed."""

    machine: str
    seconds: int
    disturbed: int


class Dependence(enum.Enum):
    """Whether the verdict depends on the disturbed seconds."""

    NONE = "none"  # no second was disturbed
    NOT_KNOWN = "not known"  # too few undisturbed seconds are left, or a failed check cannot be judged again
    SAME = "same"  # without the disturbed seconds, the verdict is the same
    OTHER = "other"  # without them, it would be another


@dataclass(frozen=True, slots=True, kw_only=True)
class Without:
    """The same run, judged without the disturbed seconds and without the second after each of them.

    `verdict`, the value of a Verdict, is None in a run that has no score, such as an INVALID one: there, `trusted` says
    whether the load generator passes its checks.  `changes`: the checks that come out differently, as phrases.
    """

    verdict: str | None
    trusted: bool
    changes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbance:
    """What disturbed a run.

    `measured_s`: seconds of the measured windows that were watched on any machine.  `disturbed_s`: of these, seconds
    that were disturbed on any machine.  `left_out_s`: length of what was left out to judge again.  `without` is None
    when nothing was disturbed, when nothing is left, or when `undecided` checks of the load generator failed, which are
    not known for single seconds.
    """

    measured_s: int
    disturbed_s: int
    left_out_s: float
    machines: tuple[Observed, ...]
    spans: tuple[Disturbed, ...]
    dependence: Dependence
    without: Without | None = None
    undecided: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """What disturbed the run, and whether the verdict depends on it; empty for an undisturbed run."""
        if not self.disturbed_s:
            return ""
        return f"{self._what()}; {self._so()}"

    def _what(self) -> str:
        number, one = self.disturbed_s, self.disturbed_s == 1
        named = "; ".join(_say(span, named=len(self.machines) > 1) for span in _worst(self.spans)[:_NAMED])
        more = f"; and {len(self.spans) - _NAMED} more" if len(self.spans) > _NAMED else ""
        return f"{number} of {self.measured_s} seconds {'was' if one else 'were'} disturbed ({named}{more})"

    def _so(self) -> str:
        without = self.without
        if self.undecided:
            return (
                "it is not known whether the load generator passes its checks without them (not known for single "
                f"seconds: {', '.join(self.undecided)}). Repeat the run on a quiet machine."
            )
        if without is None and not self.left_out_s:
            return (
                "a second in which a window ends cannot be left out to judge again. Repeat the run on a quiet machine."
            )
        if without is None:
            return "too few undisturbed seconds are left to judge again. Repeat the run on a quiet machine."
        if without.verdict is None:
            passes = "passes" if without.trusted else "does not pass"
            advice = " Repeat the run on a quiet machine." if self.dependence is Dependence.OTHER else ""
            return f"without them, the load generator {passes} its checks.{advice}"
        if self.dependence is Dependence.SAME:
            return "without them, the verdict is the same."
        changes = f": {', '.join(without.changes[:_NAMED])}" if without.changes else ""
        would = f"without them, the verdict would be {without.verdict.upper()}{changes}"
        return f"{would}. Repeat the run on a quiet machine."


def spans_of(causes: Iterable[tuple[str, int, Cause]]) -> tuple[Disturbed, ...]:
    """(machine, second, cause) as spans of consecutive seconds, by time; each with the worst of its causes."""
    spans: list[Disturbed] = []
    users: list[Counter[str]] = []  # by span: in how many seconds each process used the most
    last: dict[tuple[str, str], int] = {}  # the index of the newest span by machine and cause
    for machine, second, cause in sorted(causes, key=lambda one: one[1]):
        key = machine, cause.what
        at = last.get(key)
        if at is None or spans[at].last_s < second - 1:
            last[key] = len(spans)
            spans.append(Disturbed(machine=machine, first_s=second, last_s=second, cause=cause))
            users.append(Counter([cause.who]))
            continue
        users[at][cause.who] += 1
        worst = max(spans[at].cause, cause, key=lambda one: one.value)
        worst = replace(worst, who=users[at].most_common(1)[0][0])
        spans[at] = Disturbed(machine=machine, first_s=spans[at].first_s, last_s=second, cause=worst)
    return tuple(spans)


def _worst(spans: Sequence[Disturbed]) -> list[Disturbed]:
    """The longest first; of equally long ones the earliest."""
    return sorted(spans, key=lambda one: one.first_s - one.last_s)


def _say(span: Disturbed, *, named: bool) -> str:
    cause = span.cause
    machine = f"machine {span.machine}: " if named else ""
    when = f"at {span.first_s} s" if span.first_s == span.last_s else f"at {span.first_s}-{span.last_s} s"
    up_to = "up to " * (span.first_s < span.last_s)  # the value is that of the worst second
    who = f", largest user {cause.who}" if cause.who not in _NOBODY and cause.what == OTHERS else ""
    return f"{machine}{_PHRASES[cause.what].format(cause=cause, up_to=up_to)} {when}{who}"


_NOBODY = ("", "none", "unknown")

_PHRASES = {
    OTHERS: "other processes used {up_to}{cause.value:.0f} % of {cause.where}",
    "hypervisor": "the hypervisor took {up_to}{cause.value:.0f} % of {cause.where}",
    "CPU quota": "the CPU quota was used up in {up_to}{cause.value:.0f} % of its periods",
    "waiting for a core": "{cause.where} waited for a core for {up_to}{cause.value:.0f} % of the time",
    "stood still": "{cause.where} stood still for {up_to}{cause.value:.0f} % of the time",
    "packets dropped": "{up_to}{cause.value:,.0f} packets were dropped",
}
"""By the name of the cause."""
