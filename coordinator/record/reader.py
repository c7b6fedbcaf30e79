"""Reading a record again: finished, unfinished, or cut by SIGKILL in the middle of a write."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgpack

from coordinator.record.document import (
    KIND_FORWARD,
    KIND_HTTP,
    KIND_IPERF,
    KIND_SPEC,
    KIND_SWEEP,
    SCHEMA_VERSION,
    UNFINISHED,
    Header,
    RecordError,
    from_document,
    header_of,
    sweep_from_document,
)
from coordinator.record.fleet import FleetRecord
from coordinator.record.http import HttpHeader, http_from_document, http_header_of
from coordinator.record.sweep import Sweep
from coordinator.record.writer import INTERVALS, RUN
from loadgen.measure.snapshot import Snapshot
from loadgen.measure.together import snapshots_of
from loadgen.model.errors import PlanError
from loadgen.verdict.http_result import HttpResult
from loadgen.verdict.result import RunResult

T = TypeVar("T")

OTHER_KINDS = (KIND_IPERF, KIND_FORWARD, KIND_HTTP)

_MAX_FRAME_BYTES = 1 << 28
"""A frame of 20,000 connections is about 2 MB; more than this is damage, not data."""

Judge = Callable[[Header, Iterable[Snapshot]], RunResult]
"""What turns the snapshots of a cut run into a result: the coordinator's own judge."""

JudgeHttp = Callable[[HttpHeader, Iterable[Snapshot]], HttpResult]
"""The same of a `loadgen http` run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A record as it stands.

    `result` is None when the run did not finish; `sweep` is None unless it is a sweep with a point done.
    `document` is run.json as it is, for `--json`.
    """

    path: Path
    document: Mapping[str, Any]
    header: Header
    result: RunResult | None
    sweep: Sweep | None

    @property
    def is_sweep(self) -> bool:
        """Whether it is a sweep, which has points instead of a result."""
        return bool(self.document["kind"] == KIND_SWEEP)

    @property
    def finished(self) -> bool:
        """Whether the run wrote its end."""
        return bool(self.document["verdict"] != UNFINISHED)


class Frames(Generic[T]):
    """What a record's intervals hold, in the order in which it came; `read` makes some of them from plain data.

    Iterating reads the file from its start.  After that, `torn_bytes` says how many bytes at its end were
    nothing whole: a run killed in the middle of a write leaves some.
    """

    def __init__(self, path: Path, read: Callable[[Any], Sequence[T]]) -> None:
        self._path = path
        self._read = read
        self.torn_bytes = 0

    def __iter__(self) -> Iterator[T]:
        self.torn_bytes = 0
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            return  # killed before the first interval
        except OSError as error:
            raise RecordError(f"{self._path} cannot be read: {error.strerror}") from error
        with file:
            size = self._path.stat().st_size
            unpacker = msgpack.Unpacker(file, max_buffer_size=_MAX_FRAME_BYTES)
            good = 0
            while good < size:
                try:
                    items = self._read(unpacker.unpack())
                except (msgpack.OutOfData, msgpack.UnpackException, ValueError, PlanError):
                    break
                good = unpacker.tell()
                yield from items
            self.torn_bytes = size - good

    def how_it_ended(self) -> str:
        """Of a run that did not write its end: the sentence that says so.  Iterate first."""
        torn = f"; the last {self.torn_bytes} bytes were not a whole interval and are left out"
        return f"the run was cut: it did not write its end{torn if self.torn_bytes else ''}"


def find(path: Path) -> tuple[Path, dict[str, Any]]:
    """run.json in the directory `path` (or `path` itself), and the document in it, of whichever kind.

    Raises RecordError, in one line, when it is none that this version can read.
    """
    file = path / RUN if path.is_dir() else path
    document = _read(file)
    version = document.get("schema_version")
    if not isinstance(version, int) or document.get("kind") not in (KIND_SPEC, KIND_SWEEP, *OTHER_KINDS):
        raise RecordError(f"{file} is not a record of loadgen")
    if version > SCHEMA_VERSION:
        raise RecordError(
            f"{file} was written by a newer loadgen (schema {version}; this one reads up to {SCHEMA_VERSION})",
            hint="show it with that version",
        )
    return file, document


@contextlib.contextmanager
def damage(file: Path) -> Iterator[None]:
    """Inside, a document is read: what a damaged one raises becomes a RecordError."""
    try:
        yield
    except PlanError as error:
        raise RecordError(f"{file} is damaged: {error.message}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RecordError(f"{file} is damaged: {type(error).__name__}: {error}") from error


def load(path: Path) -> Record:
    """The record of a spec run, or of a sweep of them; path and errors as for :func:`find`."""
    file, document = find(path)
    if document["kind"] in OTHER_KINDS:
        raise RecordError(f"{file} is a record of loadgen {document['kind']}, not of loadgen spec")
    return read_spec(file, document)


def load_fleet(path: Path) -> tuple[Path, FleetRecord, bool]:
    """The directory of a record of a run on load machines, these, and whether it wrote its end; else as `find`."""
    file, document = find(path)
    if document["kind"] == KIND_HTTP:
        with damage(file):
            return file.parent, http_header_of(document).fleet, document["verdict"] != UNFINISHED
    record = load(path)
    if record.is_sweep:
        raise PlanError(f"{path} is a sweep of several runs", hint=f"collect one of them, like {path}/vms-N")
    return record.path, record.header.fleet, record.finished


def read_spec(file: Path, document: Mapping[str, Any]) -> Record:
    """What `document`, the run.json at `file`, says.  Raises RecordError."""
    with damage(file):
        header = header_of(document)
        sweep = sweep_from_document(document) if document["kind"] == KIND_SWEEP else None
        finished = document["verdict"] != UNFINISHED and sweep is None
        return Record(
            path=file.parent,
            document=document,
            header=header,
            result=from_document(document) if finished else None,
            sweep=sweep if sweep and sweep.points else None,
        )


def frames(path: Path) -> Frames[Snapshot]:
    """The snapshots of the record in the directory `path`; none when it has no intervals."""
    return Frames(path / INTERVALS, snapshots_of)


def recover(record: Record, judge: Judge) -> tuple[RunResult, str]:
    """What can still be said of a run that did not finish, and the sentence that says how it ended.

    Raises RecordError when its snapshots are not of its plan.
    """
    kept = frames(record.path)
    try:
        result = judge(record.header, kept)
    except ValueError as error:
        raise RecordError(f"{record.path / INTERVALS} is not of this run: {error}") from error
    return result, kept.how_it_ended()


def _read(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecordError(f"there is no record: {file} does not exist") from None
    except OSError as error:
        raise RecordError(f"{file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise RecordError(f"{file} is not a record: {error}") from error
    if not isinstance(document, dict):
        raise RecordError(f"{file} is not a record of loadgen")
    return document


def read_http(file: Path, document: Mapping[str, Any], judge: JudgeHttp) -> tuple[HttpHeader, HttpResult, str]:
    """What `document`, the run.json at `file`, says; of a `loadgen http` run that was cut, what its snapshots say.

    The sentence says how a run ended that did not write its end; it is empty otherwise.  Raises RecordError.
    """
    with damage(file):
        header = http_header_of(document)
        if document["verdict"] != UNFINISHED:
            return header, http_from_document(document), ""
    kept = frames(file.parent)
    try:
        result = judge(header, kept)
    except ValueError as error:
        raise RecordError(f"{file.parent / INTERVALS} is not of this run: {error}") from error
    return header, result, kept.how_it_ended()
