"""The records below a directory, as the list of `loadgen web` shows them.

Whatever stands there is a line of the list: records may be damaged, half-written, deleted while they are read, or made
by somebody else.
"""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

import msgspec

from coordinator.record.catalog import KINDS
from coordinator.record.header import UNFINISHED, RecordError
from coordinator.record.writer import RUN, is_being_written

MAX_RECORDS = 20_000
_MAX_DIRECTORIES = 200_000
_MAX_DEPTH = 8
_MAX_BYTES = 256 << 20
_RUNNING, _CUT, _DAMAGED = "running", "cut off", "damaged"


class _Document(msgspec.Struct):
    """The few fields of run.json that the list shows.  The others are not read, because a document may be large."""

    kind: str
    verdict: str
    started_at: str = ""
    reasons: list[str] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A record in the list.

    `name` is its directory, relative to that of the list; "." for the directory itself.  `verdict` is a word for
    people.  `why` is the first reason, or what is wrong with the record.  `inside` is the record of which it is a run.
    """

    name: str
    kind: str
    started_at: str
    verdict: str
    why: str
    inside: str = ""

    @property
    def key(self) -> str:
        """The name in ASCII, for URLs and forms: the name of a file need not be text."""
        return key_of(self.name)


_Stamp = tuple[int, int]
"""The time of the last change of a file in ns, and its size in bytes."""


def key_of(name: str) -> str:
    """A name in ASCII."""
    return quote(name, safe="/", errors="surrogateescape")


class Shelf:
    """The records below a directory.  Links to other directories are not followed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: dict[str, tuple[_Stamp, Listed]] = {}

    def all(self) -> list[Listed]:
        """All records, the newest first; at most MAX_RECORDS."""
        found: dict[str, tuple[_Stamp, Listed]] = {}
        left = itertools.count(_MAX_DIRECTORIES, -1)
        for name, inside in self._walk(self.root, "", "", 0, left):
            if len(found) >= MAX_RECORDS:
                break
            found[name] = self._read(name, inside)
        self._known = found
        listed = [one for _, one in found.values()]
        return sorted(listed, key=lambda one: (one.started_at, one.name), reverse=True)

    def find(self, key: str) -> Path:
        """The directory of the record with this key.  Raises RecordError when there is none below the root."""
        name = unquote(key, errors="surrogateescape")
        parts = name.split("/")
        path = self.root if name == "." else self.root.joinpath(*parts)
        outside = name != "." and any(part in ("", ".", "..") or "\0" in part for part in parts)
        if outside or any(one.is_symlink() for one in (path, *path.parents) if one.is_relative_to(self.root)):
            raise RecordError(f"there is no record {name}")
        _stamp(path / RUN)
        return path

    def below(self, key: str) -> list[Listed]:
        """The runs that the record with this key is made of."""
        name = unquote(key, errors="surrogateescape")
        return sorted((one for one in self.all() if one.inside == name), key=lambda one: (one.started_at, one.name))

    def _walk(self, path: Path, name: str, inside: str, depth: int, left: Iterator[int]) -> Iterator[tuple[str, str]]:
        """The name of each directory with a run.json, and the record that it is in.  `left` counts directories down."""
        if next(left) <= 0:
            return
        try:
            with os.scandir(path) as entries:
                every = list(entries)
        except OSError:
            return  # it was deleted, or may not be read
        if any(entry.name == RUN for entry in every):
            own = name or "."
            yield own, inside
            inside = own
        if depth >= _MAX_DEPTH:
            return
        for entry in sorted(every, key=lambda one: one.name, reverse=True):
            if _is_directory(entry):
                yield from self._walk(path / entry.name, f"{name}/{entry.name}".lstrip("/"), inside, depth + 1, left)

    def _read(self, name: str, inside: str) -> tuple[_Stamp, Listed]:
        file = self.root / name / RUN
        stamp = (0, 0)
        try:
            stamp = _stamp(file)
            known = self._known.get(name)
            if known and known[0] == stamp and known[1].verdict != _RUNNING:
                return known
            document = _document(file)
        except RecordError as error:
            return stamp, Listed(name=name, kind="", started_at="", verdict=_DAMAGED, why=error.message, inside=inside)
        verdict = document.verdict
        if verdict == UNFINISHED:
            verdict = _RUNNING if is_being_written(file.parent) else _CUT
        return stamp, Listed(
            name=name,
            kind=document.kind,
            started_at=document.started_at,
            verdict=verdict,
            why=next(iter(document.reasons), ""),
            inside=inside,
        )


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _stamp(file: Path) -> _Stamp:
    """When a run.json was written, and its size.  Raises RecordError for what is no file that can be read whole."""
    try:
        found = file.lstat()
    except (OSError, ValueError) as error:
        raise RecordError(f"{RUN} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not stat.S_ISREG(found.st_mode):
        raise RecordError(f"{RUN} is not a regular file")  # a pipe would be waited for
    if found.st_size > _MAX_BYTES:
        raise RecordError(f"{RUN} has {found.st_size:,} bytes, which is too large")
    return found.st_mtime_ns, found.st_size


def _document(file: Path) -> _Document:
    try:
        document = msgspec.json.decode(file.read_bytes(), type=_Document)
    except OSError as error:
        raise RecordError(f"{RUN} cannot be read: {error.strerror}") from error
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise RecordError(f"{RUN} is not a record: {error}") from error
    if document.kind not in KINDS:
        raise RecordError(f"{RUN} is not a record of this loadgen: its kind is {document.kind}")
    return document
