"""Stages of an open loop: each leads the rate in a straight line to its own, or sets it at once.

The first stage begins at a rate of 0, as ramping-arrival-rate does in k6.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from loadgen.model.errors import PlanError
from loadgen.model.units import NS_PER_S, format_duration, parse_duration_ns, parse_per_s

MAX_STAGES = 1_000

Ramp = tuple[int, float, float]
"""A length in ns, and the rates per second at its beginning and its end, between which the rate changes evenly."""

_HINT = "write them like 10s:100/s,30s:1000/s (ramps) or 10s@100/s (at once), with commas between them"
_ZERO = re.compile(r"0+(?:\.0*)?\s*(?:/\s*s)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A part of a run at the end of which `rate_per_s` requests per second are due.

    With `step`, they are due at that rate from its beginning on; otherwise the rate changes evenly.
    """

    duration_ns: int
    rate_per_s: float
    step: bool = False

    def __str__(self) -> str:
        return f"{format_duration(self.duration_ns)}{'@' if self.step else ':'}{self.rate_per_s:,g}/s"


def parse_stages(text: str) -> tuple[Stage, ...]:
    """The stages in a text like `10s:100/s,30s@1000/s`.  Raises PlanError that names the wrong part."""
    return tuple(_stage(part.strip(), text) for part in text.split(","))


def ramps_of(stages: Sequence[Stage]) -> tuple[Ramp, ...]:
    """The rate over the stages, without those of no length: they only set the rate from which the next one begins."""
    return tuple(ramp for _, _, ramp in played_of(stages))


def played_of(stages: Sequence[Stage]) -> tuple[tuple[int, Stage, Ramp], ...]:
    """The number (from 1) and the ramp of each stage that has a length."""
    befores = itertools.chain((0.0,), (stage.rate_per_s for stage in stages))
    return tuple(
        (number, stage, (stage.duration_ns, stage.rate_per_s if stage.step else before, stage.rate_per_s))
        for number, (stage, before) in enumerate(zip(stages, befores, strict=False), start=1)
        if stage.duration_ns
    )


def mean_per_s(stages: Sequence[Stage]) -> float:
    """The mean rate over all stages; 0 when they take no time."""
    ramps = ramps_of(stages)
    length_ns = sum(length for length, _, _ in ramps)
    return sum(length * (begin + end) / 2 for length, begin, end in ramps) / length_ns if length_ns else 0.0


def check_stages(stages: Sequence[Stage], max_rate_per_s: float) -> None:
    """Raise PlanError when the stages cannot be played."""
    if len(stages) > MAX_STAGES:
        raise PlanError(f"there are {len(stages)} stages; at most {MAX_STAGES} are allowed")
    for stage in stages:
        if stage.duration_ns < 0:
            raise PlanError(f"the length of a stage must not be negative, got {stage.duration_ns} ns")
        if not 0 <= stage.rate_per_s <= max_rate_per_s:
            raise PlanError(f"the rate of a stage must be 0 to {max_rate_per_s:,}/s, got {stage.rate_per_s:g}/s")
    if (total_ns := sum(stage.duration_ns for stage in stages)) < NS_PER_S:
        raise PlanError(f"the stages must take at least 1s together, got {format_duration(total_ns)}", hint=_HINT)
    if not mean_per_s(stages):
        raise PlanError("no request is due in any stage", hint="a stage needs a rate above 0/s")


def _stage(part: str, text: str) -> Stage:
    duration, sign, rate = part.partition("@" if "@" in part else ":")
    if not sign:
        raise PlanError(f"{part!r} in {text!r} is not a stage", hint=_HINT)
    try:
        rate_per_s = 0.0 if _ZERO.fullmatch(rate.strip()) else parse_per_s(rate)
        return Stage(duration_ns=parse_duration_ns(duration), rate_per_s=rate_per_s, step=sign == "@")
    except PlanError as error:
        raise PlanError(f"{part!r} is not a stage: {error.message}", hint=error.hint or _HINT) from error
