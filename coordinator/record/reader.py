"""Reading a record again, of any kind: finished, unfinished, or cut by SIGKILL in the middle of a write."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coordinator.record.catalog import KINDS
from coordinator.record.document import header_of, result_of
from coordinator.record.frames import Frames, seconds, vm_seconds
from coordinator.record.header import SCHEMA_VERSION, UNFINISHED, Header, RecordError
from coordinator.record.regular import open_regular
from coordinator.record.writer import INTERVALS, RUN
from loadgen.host.paths import is_directory
from loadgen.measure.together import snapshots_of
from loadgen.model.errors import PlanError

Judge = Callable[[Header[Any], Iterable[Any]], Any]
"""Makes the result of a cut run from what its record holds: the seconds of its load machines and VMs, then its
intervals (snapshots, or tests of a network run).

Raises ValueError when that cannot be of the header's plan.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A record as it stands: the directory that holds it, the document in its run.json, and the header of that."""

    path: Path
    document: Mapping[str, Any]
    header: Header[Any]

    @property
    def is_of_runs(self) -> bool:
        """Whether it is made of several runs, which have records of their own: a sweep, or a search."""
        return KINDS[self.header.kind].runs is not None

    @property
    def finished(self) -> bool:
        """Whether the run wrote its end."""
        return bool(self.document["verdict"] != UNFINISHED)

    @property
    def has_snapshots(self) -> bool:
        """Whether its intervals are snapshots of operations against targets, and not tests of a network run."""
        return KINDS[self.header.kind].measured is snapshots_of

    @property
    def measured(self) -> Frames[Any]:
        """The measurements in the order of arrival: snapshots, or the tests of a network run."""
        return Frames(self.path / INTERVALS, KINDS[self.header.kind].measured)

    def result(self) -> Any:
        """The result in the document: of a finished run, or of the points of a sweep that are done.

        Raises RecordError when the document has none.
        """
        with _damage(self.path / RUN, self.document):
            return result_of(self.document)


def load(path: Path, *kinds: str) -> Record:
    """The record in the directory `path` (or whose run.json `path` is), of one of `kinds`, or of any kind.

    Raises RecordError, in one line, when this version cannot read it, or when it is of another kind.
    """
    inside = is_directory(path)
    file = path / RUN if inside else path
    document = _read(file, inside)
    version, kind = document.get("schema_version"), document.get("kind")
    if not isinstance(version, int) or not isinstance(kind, str) or kind not in KINDS:
        raise RecordError(f"{file} is not a record of loadgen")
    if version > SCHEMA_VERSION:
        raise RecordError(
            f"{file} was written by a newer loadgen (schema {version}; this version reads up to {SCHEMA_VERSION})",
            hint="show it with that version",
        )
    if kinds and kind not in kinds:
        raise RecordError(f"{file} is a record of loadgen {kind}, not of loadgen {kinds[0]}")
    with _damage(file, document):
        record = Record(path=file.parent, document=document, header=header_of(document))
        _ = record.finished
        return record


def load_fleet(path: Path) -> Record:
    """As :func:`load`, of one run on load machines.  Raises PlanError for several, RecordError for a network run."""
    record = load(path)
    if record.is_of_runs:
        raise PlanError(f"{path} is a record of several runs", hint=f"name one of the directories in {path}")
    if record.header.fleet is None:
        raise RecordError(f"{path} is a record of loadgen {record.header.kind}, which has no load machines")
    return record


def recover(record: Record, judge: Judge) -> tuple[Any, str]:
    """Return the result of an unfinished run as far as it is known, and a sentence about its end.

    Raises RecordError when what was measured cannot be of the record's plan.
    """
    measured = record.measured
    try:
        # What disturbed a second must be known when the second is added up.
        result = judge(record.header, itertools.chain(seconds(record.path), vm_seconds(record.path), measured))
    except ValueError as error:
        raise RecordError(f"{record.path / INTERVALS} is not of this run: {error}") from error
    return result, measured.how_it_ended()


@contextlib.contextmanager
def _damage(file: Path, document: Mapping[str, Any]) -> Iterator[None]:
    """Inside the context, errors in a damaged document become a RecordError that names their place."""
    try:
        yield
    except PlanError as error:
        raise RecordError(f"{file} is damaged: {error.message}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        from coordinator.record.schema.generate import why_damaged  # loading it takes time, and is rarely needed

        why = why_damaged(document) or f"{type(error).__name__}: {error}"
        raise RecordError(f"{file} is damaged: {why}") from error


def _read(file: Path, inside: bool) -> dict[str, Any]:
    """The document in a file.  What the user names himself may be a pipe; what is `inside` a directory may not."""
    try:
        with open_regular(file) if inside else file.open("rb") as stream:
            document = json.loads(stream.read().decode())
    except FileNotFoundError:
        raise RecordError(f"there is no record: {file} does not exist") from None
    except OSError as error:
        raise RecordError(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{file} is not a record: {error}") from error
    if not isinstance(document, dict):
        raise RecordError(f"{file} is not a record of loadgen")
    return document
