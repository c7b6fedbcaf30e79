"""Groups of runs, read from records, for `loadgen compare`: a run, an experiment, or a directory of runs."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coordinator.output.judged import Judged, read_judged
from coordinator.record.catalog import KINDS
from coordinator.record.header import Header, RecordError
from coordinator.record.interleaved_result import Interleaved
from coordinator.record.reader import Judge
from coordinator.record.writer import RUN
from loadgen.host.paths import is_directory
from loadgen.model.errors import PlanError
from loadgen.model.units import counted
from loadgen.verdict.compare import FEWEST, Group, compare, without_intervals
from loadgen.verdict.compare_result import Comparison, Limit, Unlike
from loadgen.verdict.figures import figures_of
from loadgen.verdict.repeats import OneOfMany, Repeats
from loadgen.verdict.result import Verdict
from loadgen.verdict.unlike import allowed, of_environment, unlike

LETTERS = string.ascii_uppercase
"""The names of the groups."""

_COMPARED = ("spec", "http", "iperf", "forward")
_SHOWN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A group as it was read: the kind of its runs, and the header and the directory of each."""

    group: Group
    kind: str
    headers: tuple[Header[Any], ...]
    records: tuple[Path, ...]


def read_groups(paths: Sequence[Path], judges: Mapping[str, Judge]) -> tuple[Read, ...]:
    """The groups of these directories, called A, B, C and so on.

    Raises RecordError for what is no record, and PlanError for runs of kinds that cannot be compared.
    """
    if len(paths) > len(LETTERS):
        raise PlanError(f"{len(paths)} groups were given, but at most {len(LETTERS)} can be compared")
    found = tuple(_read(path, name, judges) for path, name in zip(paths, LETTERS, strict=False))
    kinds = dict.fromkeys(one.kind for one in found)
    if len(kinds) > 1:
        raise PlanError(
            f"runs of loadgen {' and '.join(kinds)} cannot be compared", hint="compare runs of the same command"
        )
    return found


def compare_records(
    paths: Sequence[Path], judges: Mapping[str, Judge], *, allow: Sequence[str] = (), limits: Sequence[Limit] = ()
) -> Comparison:
    """The comparison of the groups of these directories.

    Raises RecordError for what is no record, and PlanError for runs that cannot be compared: also because their plans
    differ in a field that is not one of `allow`.
    """
    if len(paths) < 2:
        raise PlanError(
            "a comparison needs two records or more", hint="for example: loadgen compare runs/before runs/after"
        )
    groups = read_groups(paths, judges)
    _check_apart(groups)
    plans, environments = differences(groups, allow)
    found = compare([one.group for one in groups], plans=plans, environments=environments)
    if limits and any(len(one.group.runs) < FEWEST for one in groups) and (unknown := without_intervals(found.rows)):
        runs = ", ".join(f"{one.group.name} has {counted(len(one.group.runs), 'run')}" for one in groups)
        raise PlanError(
            f"--fail-if-worse needs intervals, and there is none for {', '.join(unknown)}: {runs}",
            hint=f"play each with --repeats {FEWEST} or more; 10 are better",
        )
    return compare([one.group for one in groups], limits=limits, plans=plans, environments=environments)


def _check_apart(groups: Sequence[Read]) -> None:
    """Raise PlanError when a run is in two groups: it would not differ from itself, whatever the servers do."""
    seen: dict[Path, str] = {}
    for one in groups:
        for path in one.records:
            if (other := seen.setdefault(path, one.group.name)) != one.group.name:
                raise PlanError(
                    f"{path} is in {other} and in {one.group.name}: a run cannot be compared with itself",
                    hint="give each run to one group",
                )


def differences(groups: Sequence[Read], allow: Sequence[str]) -> tuple[tuple[Unlike, ...], tuple[Unlike, ...]]:
    """What differs in the plans, and in the environments.

    Raises PlanError when the plans differ in a field that is not one of `allow`, nor below one.
    """
    plans = unlike([[header.plan.to_dict() for header in one.headers] for one in groups])
    if wrong := [one for one in plans if not allowed(one.what, allow)]:
        names = ",".join(dict.fromkeys(_field(one.what) for one in wrong))
        more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise PlanError(
            f"the plans differ: {'; '.join(_say(one) for one in wrong[:_SHOWN])}{more}",
            hint=f"if that is what you want to compare: --allow-different {names}",
        )
    environments = unlike([[of_environment(one.environment.to_dict()) for one in of.headers] for of in groups])
    return plans, environments


def _field(what: str) -> str:
    """The field of the plan, of a path like `phases.measure_ns`."""
    return what.partition(".")[0].partition("[")[0]


def _say(one: Unlike) -> str:
    return f"{one.what} ({', '.join(f'{name}: {text}' for name, text in zip(LETTERS, one.values, strict=False))})"


def _read(path: Path, name: str, judges: Mapping[str, Judge]) -> Read:
    judged = [read_judged(one, judges) for one in _records(path)]
    runs = [(one, header, run) for one in judged for header, run in _runs(one)]
    found = [(one, header, run) for one, header, run in runs if run.verdict is not Verdict.INTERRUPTED]
    kinds = dict.fromkeys(header.kind.partition("-")[0] for _, header, _ in found)
    if len(kinds) > 1:
        raise PlanError(f"{path} has runs of loadgen {' and '.join(kinds)}", hint="compare runs of the same command")
    if not found:
        raise RecordError(f"no run of {path} is over, so there is nothing to compare")
    return Read(
        group=Group(name=name, runs=tuple(run for _, _, run in found), record=str(path)),
        kind=next(iter(kinds)),
        headers=tuple(header for _, header, _ in found),
        records=tuple(
            (one.path / run.record if isinstance(one.result, Repeats) else one.path).resolve() for one, _, run in found
        ),
    )


def _records(path: Path) -> list[Path]:
    """The record in a directory; without one, the records in the directories below it, by name."""
    if not is_directory(path) or (path / RUN).exists():
        return [path]
    below = sorted(one for one in path.iterdir() if (one / RUN).exists() and ".cut-" not in one.name)
    return below or [path]


def _runs(judged: Judged[Any, Any]) -> Iterator[tuple[Header[Any], OneOfMany]]:
    header, result = judged.header, judged.result
    if isinstance(result, Repeats):
        yield from ((header, run) for run in result.runs)
        return
    if isinstance(result, Interleaved):
        raise PlanError(f"{judged.path} is a comparison already", hint=f"show it: loadgen show {judged.path}")
    if header.kind not in _COMPARED:
        several = KINDS[header.kind].runs is not None
        raise PlanError(
            f"{judged.path} is a record of kind {header.kind}, whose runs are not alike"
            if several
            else f"runs of loadgen {header.kind} cannot be compared",
            hint=f"name directories in it, or show it: loadgen show {judged.path}"
            if several
            else f"runs of {', '.join(_COMPARED)} can",
        )
    yield (
        header,
        OneOfMany(
            record=judged.path.name,
            started_at=header.started_at,
            verdict=result.verdict,
            reasons=tuple(result.reasons),
            figures=figures_of(result),
        ),
    )
