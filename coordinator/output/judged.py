"""A run with its result, in the form that output formats take: at the end of the run, or read from the record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from coordinator.record.header import UNFINISHED, Header, Plan, Result
from coordinator.record.reader import Judge, Record, load, recover
from coordinator.record.writer import is_being_written
from loadgen.model.errors import LoadgenError
from loadgen.verdict.result import Verdict

RUNNING = "the run is still going on: this is what it has measured, as if it were interrupted now"

P = TypeVar("P", bound=Plan, covariant=True)
R = TypeVar("R", bound=Result, covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged(Generic[P, R]):
    """A run and its result; `P` and `R` are the types of its plan and its result.

    `path` is the directory of the record, `document` the content of its run.json.  `cut` is the sentence that says
    how a run ended that did not write its end; it is empty otherwise.
    """

    path: Path
    document: Mapping[str, Any]
    header: Header[P]
    result: R
    cut: str = ""


def read_judged(path: Path, judges: Mapping[str, Judge]) -> Judged[Any, Any]:
    """The run whose record is in the directory `path`.

    The run that did not write its end is judged by what was measured, with the entry of `judges` for its kind.  Raises
    RecordError, in one line, when the record cannot be read or has nothing to show.
    """
    record = load(path)
    result, cut = _result_of(record, judges)
    return Judged(path=record.path, document=record.document, header=record.header, result=result, cut=cut)


def _result_of(record: Record, judges: Mapping[str, Judge]) -> tuple[Any, str]:
    if record.is_of_runs:
        cut = RUNNING if is_being_written(record.path) else "the runs were cut off before their result was written"
        return record.result(), "" if record.finished else cut
    if record.document["verdict"] != UNFINISHED:
        return record.result(), ""
    running = is_being_written(record.path)  # asked first: the run may end while its intervals are read
    result, cut = recover(record, judges[record.header.kind])
    return result, RUNNING if running else cut


def verdict_of(judged: Judged[Any, Any]) -> Verdict | None:
    """The verdict; None for a sweep that was cut before its first point."""
    try:
        found = judged.result.verdict
    except LoadgenError:
        return None
    assert isinstance(found, Verdict)
    return found
