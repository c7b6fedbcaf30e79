"""The file set on disk: made once, shared by all servers of a host, never incomplete.

Each directory is made under a temporary name beside `file_set/` and then renamed into it, so it is either complete or
absent.  A process that makes directories holds a lock on the root, which the kernel releases when the process ends.
So a temporary name that is found while the lock is held was left by a process that has ended.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from loadgen.model.errors import LoadgenError
from workloads.specweb99 import files
from workloads.specweb99.mix import FILES

Progress = Callable[[int, int], None]
"""Called with (directories that are ready, all directories)."""

_MakeFile = Callable[[Path, int, int, int], None]  # path, directory, class, number

_LOCK = ".lock"
_TEMPORARY = ".making-"
_FILES = [(class_, num) for class_ in range(files.CLASSES) for num in range(FILES)]
_SIZES = {files.file_name(class_, num): files.file_bytes(class_, num) for class_, num in _FILES}
_PROBE = (1, 0)  # read completely at each reuse: 1 KiB with header line, validation byte and tag


@dataclass(frozen=True, slots=True)
class FileSet:
    """A complete file set; the document root `root` contains `file_set/dir00000` and so on.

    `made` is the number of directories that had to be written.
    """

    root: Path
    directories: int
    made: int

    @property
    def total_bytes(self) -> int:
        """The size of all files."""
        return self.directories * files.DIRECTORY_BYTES


def ensure(root: Path, directories: int, progress: Progress | None = None) -> FileSet:
    """The file set with (at least) `directories` directories below `root`.

    Correct directories are reused: the names and sizes of all their files are checked, and one small file of each is
    read.  The others are made.  Raises LoadgenError when `root` cannot be written, or has too little space.
    """

    def make_file(path: Path, directory: int, class_: int, num: int) -> None:
        path.write_bytes(files.content(directory, class_, num))

    return _fill(root, directories, progress, make_file)


def copy(source: FileSet, root: Path, progress: Progress | None = None) -> FileSet:
    """A copy of `source` below another root, for a VM with files of its own; made and reused like :func:`ensure`."""

    def copy_file(path: Path, directory: int, class_: int, num: int) -> None:
        shutil.copyfile(source.root / files.name(directory, class_, num), path)

    return _fill(root, source.directories, progress, copy_file)


def verify(root: Path, directories: int) -> list[str]:
    """Compare every byte of the file set; returns one line for each error."""
    problems = []
    for directory in range(directories):
        path = root / "file_set" / files.directory_name(directory)
        try:
            found_there = sorted(path.iterdir())
        except OSError as error:
            missing = isinstance(error, FileNotFoundError | NotADirectoryError)
            problems.append(f"{path}: {'missing' if missing else error.strerror}")
            continue
        problems += [f"{extra}: not part of the file set" for extra in found_there if extra.name not in _SIZES]
        for class_, num in _FILES:
            file = path / files.file_name(class_, num)
            try:
                found = file.read_bytes()
            except OSError as error:
                problems.append(f"{file}: {error.strerror}")
                continue
            expected = files.content(directory, class_, num)
            if len(found) != len(expected):
                problems.append(f"{file}: {len(found)} bytes, expected {len(expected)}")
            elif found != expected:
                at = next(i for i, (a, b) in enumerate(zip(found, expected, strict=True)) if a != b)
                problems.append(f"{file}: wrong from byte {at} on")
    return problems


def _fill(root: Path, directories: int, progress: Progress | None, make_file: _MakeFile) -> FileSet:
    made = 0
    with _explained(root):
        root.mkdir(parents=True, exist_ok=True)
        if _missing(root, directories):
            with _locked(root):
                _sweep(root)
                missing = _missing(root, directories)  # again: another process may have made some in the meantime
                _require_room(root, len(missing))
                for directory in missing:
                    if progress:
                        progress(directories - len(missing) + made, directories)
                    with _room_explained(root, len(missing) - made):
                        _make_directory(root, directory, make_file)
                    made += 1
    if progress:
        progress(directories, directories)
    return FileSet(root, directories, made)


def _missing(root: Path, directories: int) -> list[int]:
    return [directory for directory in range(directories) if not _is_whole(root, directory)]


def _is_whole(root: Path, directory: int) -> bool:
    path = root / "file_set" / files.directory_name(directory)
    try:
        with os.scandir(path) as entries:
            sizes = {entry.name: entry.stat(follow_symlinks=False).st_size for entry in entries}
        if sizes != _SIZES:
            return False
        # after a crash, or in a file set of another version, sizes may be correct and bytes wrong
        return (path / files.file_name(*_PROBE)).read_bytes() == files.content(directory, *_PROBE)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return False


def _make_directory(root: Path, directory: int, make_file: _MakeFile) -> None:
    name = files.directory_name(directory)
    new = root / f"{_TEMPORARY}{name}"
    final = root / "file_set" / name
    try:
        new.mkdir()
        for class_, num in _FILES:
            file = new / files.file_name(class_, num)
            make_file(file, directory, class_, num)
            file.chmod(0o644)  # whatever the umask: web servers may run as another user
        new.chmod(0o755)
        final.parent.mkdir(exist_ok=True)
        final.parent.chmod(0o755)
        if final.is_symlink() or final.exists():
            final.rename(root / f"{_TEMPORARY}{name}-wrong")
        new.rename(final)
    finally:
        _sweep(root)


def _sweep(root: Path) -> None:
    for stale in root.glob(f"{_TEMPORARY}*"):
        if stale.is_dir() and not stale.is_symlink():
            shutil.rmtree(stale)
        else:
            stale.unlink()


def _require_room(root: Path, directories: int) -> None:
    """Raises LoadgenError, before anything is written, when there is too little space for this many directories."""
    disk = os.statvfs(root)
    block = disk.f_frsize
    needed = directories * (sum(-(-size // block) * block for size in _SIZES.values()) + block)
    free = disk.f_bavail * block
    if free < needed:
        raise LoadgenError(
            f"the file set needs {needed / 1e6:.0f} MB more in {root}, but {free / 1e6:.0f} MB are free there",
            hint="free some space, choose another place, or ask for fewer connections",
        )


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    handle = os.open(root / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def _room_explained(root: Path, directories: int) -> Iterator[None]:
    """Report a disk that becomes full during the work (other processes may write) like one that was full before."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _require_room(root, directories)
        raise LoadgenError(
            f"writing the file set to {root} failed: {error.strerror} "
            f"({directories * files.DIRECTORY_BYTES / 1e6:.0f} MB were still to be written)",
            hint="check the quota of that file system",
        ) from error


@contextmanager
def _explained(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LoadgenError(
            f"the file set cannot be kept in {root}: {error.strerror or error}",
            hint="choose a directory that can be written",
        ) from error
