"""The result of `loadgen relative`, and of one of its rounds."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from loadgen.measure.trials import Round
from loadgen.model.errors import ExitCode
from loadgen.model.relative import Better
from loadgen.verdict.result import Verdict


class Difference(enum.Enum):
    """What the trials say about an environment beside the first one."""

    FIRST = "first"  # it is the first one
    BETTER = "better"
    WORSE = "worse"
    NOT_SHOWN = "not shown"  # the interval of the ratio holds 1
    UNKNOWN = "unknown"  # there is no interval


@dataclass(frozen=True, slots=True, kw_only=True)
class RelativeRow:
    """One metric in one environment.

    `values` has one value for each trial, the mean over its VMs, in the order of the rounds.  `mean`, `median` and `sd`
    (standard deviation of a sample; None for one value) are of these.  `relative` says how many times as good as in
    the first environment it is: above 1 is better, whichever of higher and lower is better.  It is the geometric mean
    of the ratios of the `pairs` rounds that have both, and `relative_low` to `relative_high` is its 95 % confidence
    interval.  `vm_low` and `vm_high` are the lowest and the highest mean of a VM; None with one VM.
    """

    metric: str
    unit: str
    better: Better
    environment: str
    values: tuple[float, ...]
    mean: float
    median: float
    pairs: int
    difference: Difference
    sd: float | None = None
    relative: float | None = None
    relative_low: float | None = None
    relative_high: float | None = None
    vm_low: float | None = None
    vm_high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RelativeResult:
    """All rounds that were played, and a row for each metric and environment, the metrics one after the other."""

    verdict: Verdict
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    rows: tuple[RelativeRow, ...]
    rounds: tuple[Round, ...]

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the command."""
        return self.verdict.exit_code


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundResult:
    """One round, as a run of its own."""

    verdict: Verdict
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    round: Round

    @property
    def rounds(self) -> tuple[Round, ...]:
        """The round, as the result of a comparison has it."""
        return (self.round,)

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the command."""
        return self.verdict.exit_code
