"""Searches a directory for records, as far as that is good for a page."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from coordinator.record.header import RecordError
from coordinator.record.writer import RUN

_MAX_RECORDS = 20_000
_MAX_DIRECTORIES = 200_000
_MAX_DEPTH = 8


class Walk:
    """The records in the directory `name` below `root` ("" for `root` itself) and below it.

    Iterate once: each is the name of a directory with a run.json, relative to `root` and "." for `root`, and the name
    of the record that it is in, "" for none.  Links to other directories are not followed.  Raises RecordError when
    the first directory cannot be read.
    """

    def __init__(self, root: Path, name: str = "") -> None:
        self._root = root
        self._name = name
        self._directories = self._records = self._unreadable = 0
        self._too_many_directories = self._too_many_records = self._too_deep = False

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return self._in(self._root / self._name, self._name, "", 0)

    @property
    def left_out(self) -> tuple[str, ...]:
        """Sentences that say what was not searched, and why."""
        unreadable = "1 directory" if self._unreadable == 1 else f"{self._unreadable:,} directories"
        every = (
            (self._too_many_records, f"The search ended after {_MAX_RECORDS:,} records."),
            (self._too_many_directories, f"The search ended after {_MAX_DIRECTORIES:,} directories."),
            (self._too_deep, f"What is more than {_MAX_DEPTH} directories down was not searched."),
            (self._unreadable, f"{unreadable} could not be read."),
        )
        return tuple(sentence for left_out, sentence in every if left_out)

    def _in(self, path: Path, name: str, inside: str, depth: int) -> Iterator[tuple[str, str]]:
        if self._full():
            return
        self._directories += 1
        every = self._entries(path, depth)
        if any(entry.name == RUN for entry in every):
            self._records += 1
            own = name or "."
            yield own, inside
            inside = own
        below = [entry for entry in every if _is_directory(entry)]
        if depth >= _MAX_DEPTH:
            self._too_deep = self._too_deep or bool(below)
            return
        for entry in sorted(below, key=lambda one: one.name, reverse=True):
            yield from self._in(path / entry.name, f"{name}/{entry.name}".lstrip("/"), inside, depth + 1)

    def _full(self) -> bool:
        self._too_many_records = self._too_many_records or self._records >= _MAX_RECORDS
        self._too_many_directories = self._too_many_directories or self._directories >= _MAX_DIRECTORIES
        return self._too_many_records or self._too_many_directories

    def _entries(self, path: Path, depth: int) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(path) as entries:
                return list(entries)
        except OSError as error:
            if not depth:
                raise RecordError(f"{path} cannot be read: {error.strerror}") from error
            self._unreadable += not isinstance(error, FileNotFoundError)  # which was deleted meanwhile
            return []


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False
