"""The plan of `loadgen relative`: a command, the environments that it runs in, and what is measured of it."""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from loadgen.model.errors import PlanError
from loadgen.model.limits import NO_LIMITS, VmLimits
from loadgen.model.plain import from_plain, to_plain
from loadgen.model.units import NS_PER_S, format_duration

MAX_TRIALS, MAX_VMS = 10_000, 1024


class Better(enum.Enum):
    """Whether the higher or the lower of two numbers is the better one."""

    HIGHER = "higher"
    LOWER = "lower"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A number in the output of a command.

    `pattern` is a regular expression of Python's `re`, where ^ and $ match at each line.  Its group `value`, or its
    only group, is the number; of several matches the last one counts.  With a group `name`, each match is a number of
    its own with that name.
    """

    pattern: str
    better: Better = Better.HIGHER
    name: str = "metric"
    unit: str = ""

    def __post_init__(self) -> None:
        try:
            compiled = re.compile(self.pattern, re.MULTILINE)
        except re.error as error:
            raise PlanError(f"{self.pattern!r} is not a regular expression: {error}") from None
        if "value" not in compiled.groupindex and compiled.groups != 1:
            raise PlanError(
                f"the pattern {self.pattern!r} must have one group, which is the number",
                hint="put the number in parentheses, like 'tps = ([0-9.]+)', or name its group: (?P<value>[0-9.]+)",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class RelativePlan:
    """A command that is run `trials` times in each of several environments, in rounds of one trial in each.

    Of `command` (its words) and `recipe` (the name of a ready one) one is given.  `prepare` is a text for /bin/sh that
    is run before the command, and is not measured.  In each trial, `vms` fresh VMs run the command at once.  `metrics`
    are the numbers that count; without any, the wall time does.  `vm_limits` are those of each VM.  `warmups` trials in
    each environment are not counted.  `timeout_ns` is the time limit of each command.  `duration_ns` is what recipes
    that run for a time take.  `seed` shuffles the environments of each round.  `round` is the only round of this plan,
    from 1; 0 for all.
    """

    environments: tuple[str, ...] = ("bare", "ns")
    command: tuple[str, ...] = ()
    recipe: str = ""
    prepare: str = ""
    metrics: tuple[Metric, ...] = ()
    trials: int = 10
    warmups: int = 1
    vms: int = 1
    vm_limits: VmLimits = NO_LIMITS
    duration_ns: int = 5 * NS_PER_S
    timeout_ns: int = 600 * NS_PER_S
    seed: int = 1
    round: int = 0

    def __post_init__(self) -> None:
        if bool(self.command) == bool(self.recipe):
            raise PlanError(
                "a command and a recipe are both given" if self.command else "there is no command to run",
                hint="give a command behind --, like: loadgen relative -- make -j2; or a recipe: --recipe compile",
            )
        if self.recipe and (self.prepare or self.metrics):
            raise PlanError(
                f"the recipe {self.recipe} brings its own preparation and metrics",
                hint="leave out --prepare and --metric, or give a command instead of the recipe",
            )
        check_environments(self.environments)
        _check_range("trials", self.trials, 1, MAX_TRIALS)
        _check_range("warmups", self.warmups, 0, MAX_TRIALS)
        _check_range("vms", self.vms, 1, MAX_VMS)
        _check_range("round", self.round, 0, self.trials)
        if self.seed < 0:
            raise PlanError(f"seed must not be negative, got {self.seed}")
        for name, value_ns in (("duration", self.duration_ns), ("timeout", self.timeout_ns)):
            if value_ns <= 0:
                raise PlanError(f"the {name} must be more than 0s, got {format_duration(value_ns)}")
        if self.recipe and self.timeout_ns <= self.duration_ns:
            raise PlanError(
                f"the timeout must be longer than the {format_duration(self.duration_ns)} of a recipe, "
                f"got {format_duration(self.timeout_ns)}",
                hint="raise --timeout, or lower --duration",
            )

    def only(self, number: int) -> RelativePlan:
        """The plan of one round."""
        return replace(self, round=number)

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain data (for JSON and TOML); :meth:`from_dict` reads it back to an equal plan."""
        plain: dict[str, Any] = to_plain(self)
        limits = {name: value for name, value in plain["vm_limits"].items() if value is not None}
        return {**plain, "vm_limits": limits}

    @classmethod
    def from_dict(cls, data: object) -> RelativePlan:
        """The plan that plain data describes.  Raises PlanError that names the field that is wrong."""
        return from_plain(cls, data)


def _check_range(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise PlanError(f"{name} must be {low} to {high}, got {value}")


def check_environments(environments: Sequence[str]) -> None:
    """Raise PlanError if there is no environment, or if one is given twice."""
    if not environments:
        raise PlanError("there is no environment", hint="give some with --env, such as --env bare --env ns")
    if len(set(environments)) < len(environments):
        raise PlanError(f"an environment is given twice: {', '.join(environments)}", hint="give each once with --env")
