"""The words that are written across a figure whose numbers are no result, or not one to rely on."""

from __future__ import annotations

from collections.abc import Iterable

from coordinator.output import marks
from coordinator.output.curves import NO_COUNT
from coordinator.output.plot.picture import Subject
from loadgen.verdict.result import Verdict


def marks_of(subjects: Iterable[Subject]) -> tuple[str, ...]:
    """The words, each once, the gravest first: see :func:`coordinator.output.marks.marks_of`."""
    return marks.marks_of(subject.judged for subject in subjects)


def unscored(verdict: Verdict | None) -> str:
    """The word in place of the score of a run with this verdict; "" where there may be a score, and for None."""
    return marks.WORDS[verdict] if verdict in NO_COUNT else ""
