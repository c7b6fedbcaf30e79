"""Which runs a figure shows, and what they are called in it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from coordinator.output.judged import Judged, read_judged
from coordinator.output.plot.catalog import PLOTS
from coordinator.output.plot.picture import Subject
from coordinator.output.streams import OutputError
from coordinator.record.kinds import KIND_PAPER
from coordinator.record.reader import Judge
from coordinator.record.writer import RUN
from loadgen.model.errors import PlanError


def choose(
    paths: Sequence[Path], judges: Mapping[str, Judge], kind: str | None, names: Sequence[str]
) -> tuple[str, tuple[Subject, ...]]:
    """The kind of figure (the first that the record has, if `kind` is None), and the runs that it shows.

    A record of `loadgen paper` stands for its experiments.  Raises OutputError when a record does not have the figure,
    PlanError when the names do not fit the runs, and RecordError when a record cannot be read.
    """
    judged = [read_judged(path, judges) for path in paths]
    chosen = kind or next(iter(_kinds_of(judged[0], judges)), None)
    if chosen is None:
        raise OutputError(
            f"{judged[0].path} is a record of loadgen {judged[0].header.kind}, of which there is no figure",
            hint="loadgen show prints it",
        )
    found = [subject for one in judged for subject in _subjects(one, judges, chosen)]
    if len(found) > 1 and not PLOTS[chosen].several:
        raise PlanError(f"--kind {chosen} shows one run, but {len(found)} are given", hint="name one RUN")
    if names and len(names) != len(found):
        raise PlanError(f"{len(names)} --label for {len(found)} runs", hint="give one for each run, in their order")
    if "" in map(str.strip, names):
        raise PlanError("a --label is empty", hint="give each run a name")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise PlanError(f"two runs have the --label {twice!r}", hint="give each run a name of its own")
    used = list(names) or _distinct(found)
    return chosen, tuple(Subject(name, subject.judged) for name, subject in zip(used, found, strict=True))


def _subjects(judged: Judged[Any, Any], judges: Mapping[str, Judge], kind: str) -> list[Subject]:
    """The run, or the experiments of a paper, that have this figure.  Raises OutputError when there is none."""
    found = [one for one in _inside(judged, judges) if one.judged.header.kind in PLOTS[kind].records]
    if not found:
        have = list(_kinds_of(judged, judges))
        has = f"it has {', '.join(have)}" if have else "it has none"
        raise OutputError(
            f"{judged.path} is a record of loadgen {judged.header.kind}, which has no figure {kind}: {has}",
            hint="choose one of these with --kind" if have else "loadgen show prints it",
        )
    return found


def _kinds_of(judged: Judged[Any, Any], judges: Mapping[str, Judge]) -> Iterator[str]:
    inside = {one.judged.header.kind for one in _inside(judged, judges)}
    return (name for name, plot in PLOTS.items() if inside & set(plot.records))


def _inside(judged: Judged[Any, Any], judges: Mapping[str, Judge]) -> Iterator[Subject]:
    if judged.header.kind != KIND_PAPER:
        yield Subject(judged.path.resolve().name, judged)
        return
    for step in judged.result.steps:
        if step.record and (judged.path / step.record / RUN).exists():
            yield Subject(step.experiment.value, read_judged(judged.path / step.record, judges))


def _distinct(found: Sequence[Subject]) -> list[str]:
    """The names of the runs; equal ones are numbered, with numbers that make no other name."""
    names = [subject.name for subject in found]
    taken = {name for name in names if names.count(name) == 1}
    made: list[str] = []
    for name in names:
        numbered = (f"{name} ({number})" for number in itertools.count(1))
        made.append(name if name in taken else next(one for one in numbered if one not in {*taken, *made}))
    return made
