"""What is right for a set-up, and how often the product said something else: the pure part of the trust benchmark."""

from __future__ import annotations

import enum
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

CONFORMING, NOT_CONFORMING, INVALID = "CONFORMING", "NOT CONFORMING", "INVALID"
CODES = {0: CONFORMING, 1: NOT_CONFORMING, 3: INVALID}
"""Verdicts by exit code (docs/decisions/0026); each other exit code is a wrong answer in every set-up."""

NO_ENGINE = "-"
"""The engine of commands that have none: `loadgen iperf` and `loadgen forward`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """The right answer to a set-up.

    `verdicts`: each of these is right.  `checks`: names of trust checks, at least one of which must fail.  `says`: a
    regular expression that the reasons or notes of the report must match.  `why` is shown beside the table.
    """

    verdicts: tuple[str, ...]
    why: str
    checks: tuple[str, ...] = ()
    says: str = ""

    @property
    def bad(self) -> bool:
        """Whether nothing may be said about the servers, because the measurement itself failed."""
        return self.verdicts == (INVALID,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One run's answer.

    `code`: exit code; None when the run did not end in time.  `failed`: trust checks that failed.  `text`: reasons and
    notes of the report.  Errors are reported minus true response times; None when there is nothing to compare.
    """

    setup: str
    engine: str
    code: int | None
    failed: tuple[str, ...] = ()
    text: str = ""
    p50_error_ms: float | None = None
    p99_error_ms: float | None = None

    @property
    def verdict(self) -> str:
        """The verdict in words, or the exit code that stands for none."""
        if self.code is None:
            return "no end"
        return CODES.get(self.code, f"exit code {self.code}")


class Wrong(enum.Enum):
    """The kinds of wrong answers."""

    FALSE_ALARM = "false alarm"  # INVALID, although the figures can be trusted
    MISS = "miss"  # a verdict on the servers, although the figures cannot be trusted
    VERDICT = "wrong verdict"  # any other wrong verdict, or a run that failed
    REASON = "wrong reason"  # the right verdict, but the report does not say what it must say


def wrong(right: Right, trial: Trial) -> Wrong | None:
    """How the answer of a trial is wrong; None when it is right."""
    if trial.verdict not in right.verdicts:
        if trial.verdict not in CODES.values():
            return Wrong.VERDICT
        if right.bad:
            return Wrong.MISS
        return Wrong.FALSE_ALARM if trial.verdict == INVALID else Wrong.VERDICT
    if right.checks and not set(right.checks) & set(trial.failed):
        return Wrong.REASON
    if right.says and not re.search(right.says, trial.text):
        return Wrong.REASON
    return None


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table: the trials of one set-up with one engine."""

    name: str
    right: Right
    trials: Sequence[Trial]

    def count(self, kind: Wrong) -> int:
        """The number of trials that were wrong in this way."""
        return sum(wrong(self.right, trial) is kind for trial in self.trials)


_HEAD = "| set-up | engine | trials | right | seen | wrong | p50, p99 error, ms | failed checks |"


def table(rows: Sequence[Row]) -> str:
    """The table in Markdown, one row for each set-up and engine; errors are the worst of the row."""
    lines = [_HEAD, "| --- | --- | --- | --- | --- | --- | --- | --- |"]
    for row in rows:
        seen = Counter(trial.verdict for trial in row.trials)
        kinds = {kind: row.count(kind) for kind in Wrong}
        failed = Counter(name for trial in row.trials for name in trial.failed)
        errors = ", ".join(
            "-" if (value := worst(values)) is None else f"{value:+.2f}"
            for values in ([one.p50_error_ms for one in row.trials], [one.p99_error_ms for one in row.trials])
        )
        cells = (
            row.name,
            row.trials[0].engine,
            str(len(row.trials)),
            " or ".join(row.right.verdicts),
            ", ".join(f"{count} {verdict}" for verdict, count in seen.most_common()),
            ", ".join(f"{count} {kind.value}" for kind, count in kinds.items() if count) or "0",
            errors if errors != "-, -" else "",
            ", ".join(name for name, _ in failed.most_common()),
        )
        lines.append(f"| {' | '.join(cells)} |".replace("|  |", "| |"))
    return "\n".join(lines)


def worst(values: Sequence[float | None]) -> float | None:
    """The value farthest from zero, None when none is known."""
    return max((value for value in values if value is not None), key=abs, default=None)


def summary(rows: Sequence[Row]) -> str:
    """One sentence with all wrong answers, and the numbers of trials."""
    good = sum(len(row.trials) for row in rows if not row.right.bad)
    bad = sum(len(row.trials) for row in rows if row.right.bad)
    counts = {kind: sum(row.count(kind) for row in rows) for kind in Wrong}
    return (
        f"{good + bad} trials of {len({row.name for row in rows})} set-ups: "
        f"{_some(counts[Wrong.FALSE_ALARM], 'false alarm')} in {good} good trials, "
        f"{_some(counts[Wrong.MISS], 'miss', 'misses')} in {bad} bad trials, "
        f"{_some(counts[Wrong.VERDICT], 'other wrong verdict')}, {_some(counts[Wrong.REASON], 'wrong reason')}."
    )


def _some(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"


def all_right(rows: Sequence[Row]) -> bool:
    """Whether no trial was answered wrongly."""
    return not any(row.count(kind) for row in rows for kind in Wrong)
