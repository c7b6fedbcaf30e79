"""The records below a directory, as the list of `loadgen web` shows them.

Whatever stands there is a line of the list: records may be damaged, half-written, deleted while they are read, or made
by somebody else.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

import msgspec

from coordinator.output.web.walk import Walk
from coordinator.record.catalog import KINDS
from coordinator.record.header import UNFINISHED, RecordError
from coordinator.record.regular import open_regular
from coordinator.record.writer import RUN, is_being_written

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


@dataclass(frozen=True, slots=True)
class Listing:
    """Records, the newest first, and sentences that say what was not searched."""

    records: list[Listed]
    left_out: tuple[str, ...]


_Stamp = tuple[int, int]
"""The time of the last change of a file in ns, and its size in bytes."""


def key_of(name: str) -> str:
    """A name in ASCII."""
    return quote(name, safe="/", errors="surrogateescape")


class Shelf:
    """The records below a directory, which may be a link.  Links below it are not followed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: dict[str, tuple[_Stamp, Listed]] = {}

    def all(self) -> Listing:
        """All records.  Raises RecordError when the directory cannot be read."""
        walk = Walk(self.root)
        found = {name: self._read(name, inside) for name, inside in walk}
        self._known = found
        return Listing(_in_order(one for _, one in found.values())[::-1], walk.left_out)

    def find(self, key: str) -> Path:
        """The directory of the record with this key.  Raises RecordError when there is none below the root."""
        name = unquote(key, errors="surrogateescape")
        path = self.root
        for part in () if name == "." else name.split("/"):
            path /= part
            if part in ("", ".", "..") or "\0" in part or _is_link(path):
                raise RecordError(f"there is no record {name}")
        _stamp(path / RUN)
        return path

    def one(self, key: str) -> Listed:
        """The record with this key.  Raises RecordError when there is none below the root."""
        self.find(key)
        return self._read(unquote(key, errors="surrogateescape"), "")[1]

    def below(self, key: str) -> list[Listed]:
        """The runs that the record with this key is made of, the oldest first."""
        own = unquote(key, errors="surrogateescape")
        walk = Walk(self.root, "" if own == "." else own)
        return _in_order(self._read(name, inside)[1] for name, inside in walk if inside == own)

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


def _is_link(path: Path) -> bool:
    try:
        return path.is_symlink()
    except OSError:  # a name that is too long: there is nothing
        return False


def _in_order(found: Iterable[Listed]) -> list[Listed]:
    return sorted(found, key=lambda one: (one.started_at, one.name))


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
        with open_regular(file) as stream:
            document = msgspec.json.decode(stream.read(_MAX_BYTES), type=_Document)
    except OSError as error:
        raise RecordError(f"{RUN} cannot be read: {error.strerror}") from error
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise RecordError(f"{RUN} is not a record: {error}") from error
    if document.kind not in KINDS:
        raise RecordError(f"{RUN} is not a record of this loadgen: its kind is {document.kind}")
    return document
