"""The file set of SPECweb99 on disk; see :mod:`workloads.fileset`."""

from __future__ import annotations

from pathlib import Path

from workloads import fileset
from workloads.fileset import FileSet, Progress
from workloads.specweb99 import files
from workloads.specweb99.mix import FILES

_FILES = {files.file_name(class_, num): (class_, num) for class_ in range(files.CLASSES) for num in range(FILES)}


def _content(directory: int, name: str) -> bytes:
    return files.content(directory, *_FILES[name])


_LAYOUT = fileset.Layout(
    directory_name=files.directory_name,
    sizes={name: files.file_bytes(*file) for name, file in _FILES.items()},
    content=_content,
    probe=files.file_name(1, 0),  # 1 KiB with header line, validation byte and tag
)


def ensure(root: Path, directories: int, progress: Progress | None = None) -> FileSet:
    """The file set with (at least) `directories` directories; see :func:`workloads.fileset.ensure`."""
    return fileset.ensure(_LAYOUT, root, directories, progress)


def copy(source: FileSet, root: Path, progress: Progress | None = None) -> FileSet:
    """A copy of `source` below another root; see :func:`workloads.fileset.copy`."""
    return fileset.copy(_LAYOUT, source, root, progress)


def verify(root: Path, directories: int) -> list[str]:
    """Compare every byte of the file set; returns one line for each error."""
    return fileset.verify(_LAYOUT, root, directories)
