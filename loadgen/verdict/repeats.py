"""The same run played several times: what its numbers are, and how far chance moves them.

A run that is not valid does not count.  All others count, those that stand out as well: a run is left out for what its
checks say, never for its result.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from loadgen.model.errors import ExitCode
from loadgen.model.relative import Better
from loadgen.model.units import counted, number
from loadgen.verdict.figures import COUNTED, Figure
from loadgen.verdict.ranks import CONFIDENCE, FEWEST
from loadgen.verdict.result import Verdict
from loadgen.verdict.sample import FALSE_ALARMS, NOISY, Sample, sample_of


@dataclass(frozen=True, slots=True, kw_only=True)
class OneOfMany:
    """What an experiment keeps of a run: its verdict and its numbers, none for a run that does not count.

    `record` is the directory of the run's record, relative to that of the experiment.  `side` says which plan it
    played, from 0, in an experiment with several.
    """

    record: str
    started_at: str
    verdict: Verdict
    reasons: tuple[str, ...]
    figures: tuple[Figure, ...]
    side: int = 0

    @property
    def counts(self) -> bool:
        """Whether the run says anything about the servers."""
        return self.verdict in COUNTED and bool(self.figures)

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the run alone."""
        return self.verdict.exit_code


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatsRow:
    """A number over all runs that count.  `records` names the run of each value; `at_least` values are lower bounds."""

    name: str
    unit: str
    better: Better
    records: tuple[str, ...]
    sample: Sample
    at_least: int = 0


def rows_of(runs: Sequence[OneOfMany]) -> tuple[RepeatsRow, ...]:
    """A row for each number of the runs that count; a number that is 0 in all of them is left out."""
    found: dict[str, list[tuple[str, Figure]]] = {}
    for run in runs:
        for figure in run.figures if run.counts else ():
            found.setdefault(figure.name, []).append((run.record, figure))
    return tuple(_row(name, of) for name, of in found.items() if any(any(figure.values) for _, figure in of))


def _row(name: str, of: Sequence[tuple[str, Figure]]) -> RepeatsRow:
    first = of[0][1]
    return RepeatsRow(
        name=name,
        unit=first.unit,
        better=first.better,
        records=tuple(record for record, figure in of for _ in figure.values),
        sample=sample_of([value for _, figure in of for value in figure.values]),
        at_least=sum(figure.at_least for _, figure in of),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeats:
    """`asked` runs of the same plan, as far as they were played."""

    asked: int
    runs: tuple[OneOfMany, ...] = ()

    @property
    def rows(self) -> tuple[RepeatsRow, ...]:
        """See :func:`rows_of`."""
        return rows_of(self.runs)

    @property
    def valid(self) -> tuple[OneOfMany, ...]:
        """The runs that count."""
        return tuple(run for run in self.runs if run.counts)

    @property
    def verdict(self) -> Verdict:
        """That of most runs that count.

        INVALID or DEGRADED if most runs do not count: then those that do were selected by chance or by load.
        """
        if self.runs and self.runs[-1].verdict is Verdict.INTERRUPTED:
            return Verdict.INTERRUPTED
        return verdict_of(self.runs)

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the command."""
        return self.verdict.exit_code

    @property
    def reasons(self) -> tuple[str, ...]:
        """The answer in sentences."""
        return tuple(_sentences(self))


def verdict_of(runs: Sequence[OneOfMany]) -> Verdict:
    """The verdict of most of the runs that count; INVALID or DEGRADED if most of the runs do not count."""
    conforming = sum(run.counts and run.verdict is Verdict.CONFORMING for run in runs)
    valid = sum(run.counts for run in runs)
    if 2 * valid <= len(runs):
        only_degraded = all(run.counts or run.verdict is Verdict.DEGRADED for run in runs)
        return Verdict.DEGRADED if runs and only_degraded else Verdict.INVALID
    return Verdict.CONFORMING if 2 * conforming > valid else Verdict.NOT_CONFORMING


def _sentences(repeats: Repeats) -> Iterator[str]:
    valid, rows = repeats.valid, repeats.rows
    if repeats.runs and repeats.runs[-1].verdict is Verdict.INTERRUPTED:
        yield f"stopped by the user after {len(repeats.runs) - 1} of {counted(repeats.asked, 'run')}"
    if not repeats.runs:
        yield "no run is over"
    if rows:
        yield _median(rows[0])
    conforming = sum(run.verdict is Verdict.CONFORMING for run in valid)
    if conforming < len(valid):
        yield f"{conforming} of {counted(len(valid), 'run')} conform"
    yield from left_out(repeats.runs)
    if 0 < len(valid) < FEWEST:
        yield (
            f"there is no interval: of {counted(len(valid), 'run')}, not even the lowest and the highest hold the "
            f"median with {100 * CONFIDENCE:g} % confidence; {FEWEST} runs do"
        )
    yield from said_of(rows)


def _median(row: RepeatsRow) -> str:
    sample, unit = row.sample, f" {row.unit}" if row.unit not in ("", "1/s") else ""
    median = f"the median of {row.name} is {number(sample.median)}{unit}"
    if sample.low is None or sample.high is None:
        return f"{median}, of {counted(len(sample.values), 'run')}"
    return f"{median}; with {100 * CONFIDENCE:g} % confidence it is {number(sample.low)} to {number(sample.high)}"


def left_out(runs: Sequence[OneOfMany]) -> Iterator[str]:
    """The sentence on runs that do not count; none when all do."""
    if out := [run for run in runs if not run.counts and run.verdict is not Verdict.INTERRUPTED]:
        kinds = ", ".join(dict.fromkeys(run.verdict.value for run in out))
        why = f": {out[-1].reasons[0]}" if out[-1].reasons else ""
        does = "does" if len(out) == 1 else "do"
        yield f"{len(out)} of {counted(len(runs), 'run')} {does} not count ({kinds}); {out[-1].record}{why}"


def said_of(rows: Sequence[RepeatsRow]) -> Iterator[str]:
    """Sentences on noise, drift, runs that stand out, and lower bounds."""
    if noisy := [f"{row.name} by {100 * (row.sample.variation or 0):.1f} %" for row in rows if row.sample.noisy]:
        yield f"noisy: from run to run, {', '.join(noisy)} (coefficient of variation; noisy from {100 * NOISY:g} % on)"
    for row in rows:
        if (drift := row.sample.drift) is not None:
            yield (
                f"drift: {row.name} {'rises' if drift.change > 0 else 'falls'} over the repeats, by about "
                f"{100 * abs(drift.change):.1f} % from the first to the last; without a drift, a series as clear as "
                f"this has a chance of {_chance(drift.chance)}"
            )
    for row in rows:
        if out := row.sample.outliers:
            runs = ", ".join(f"{row.records[at]} ({number(row.sample.values[at])})" for at in out)
            stands = "stands" if len(out) == 1 else "stand"
            yield f"{runs} {stands} out in {row.name}, and count{'s' if len(out) == 1 else ''} like all others"
    for row in rows:
        if row.at_least:
            yield f"{row.name} is only a lower bound in {counted(row.at_least, 'run')}"


def _chance(chance: float) -> str:
    return f"{100 * chance:.2g} %" if chance >= FALSE_ALARMS / 100 else f"less than {FALSE_ALARMS:g} %"
