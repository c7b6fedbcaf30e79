"""The result of comparing groups of runs, with the numbers behind it."""

from __future__ import annotations

from dataclasses import dataclass, field

from loadgen.model.errors import ExitCode
from loadgen.model.relative import Better
from loadgen.verdict.relative_result import Difference
from loadgen.verdict.result import Verdict


@dataclass(frozen=True, slots=True)
class Limit:
    """How much worse than the first group another one may be: a share (0..1) of `name`, or of each number for ""."""

    share: float
    name: str = ""

    def covers(self, name: str) -> bool:
        """Whether it limits the number `name`; `p99` also stands for `response p99`."""
        return self.name in ("", name) or name.endswith(f" {self.name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A group of runs: `valid` of its `runs` count.  `record`: the directory of its record, or the file of its plan."""

    name: str
    record: str
    runs: int
    valid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareRow:
    """A number in one group, beside that of the first group.

    `values` has one value for each run that counts, in their order.  `ratio` is how many times that of the first group
    it is, and `ratio_low` to `ratio_high` is its interval with 99 % confidence; None in the first group, and where
    there are too few values.  An infinite ratio is one to 0.  `at_least` values are lower bounds.  `too_bad`: the whole
    interval is beyond the limit of --fail-if-worse.
    """

    name: str
    unit: str
    better: Better
    side: str
    values: tuple[float, ...]
    median: float
    difference: Difference
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    at_least: int = 0
    too_bad: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlike:
    """Something that differs between the groups: `values` has the text of each group, several where its runs differ."""

    what: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Groups of runs beside the first one.

    `in_rounds`: the runs of a round were played one after the other, so each round gives a ratio of its own.  `plans`
    and `environments` are what differs between the groups, besides what was measured.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    sides: tuple[Side, ...]
    rows: tuple[CompareRow, ...]
    in_rounds: bool = False
    plans: tuple[Unlike, ...] = field(default=())
    environments: tuple[Unlike, ...] = field(default=())

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the command."""
        return self.verdict.exit_code
