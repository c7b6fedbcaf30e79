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
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from loadgen.model.errors import LoadgenError

Progress = Callable[[int, int], None]
"""Called with (directories that are ready, all directories)."""

FOLDER = "file_set"
"""The directory below the document root that holds the directories of all workloads; web servers serve it."""

_MakeFile = Callable[[Path, int, str], None]  # path, directory, name of the file

_LOCK = ".lock"
_TEMPORARY = ".making-"


@dataclass(frozen=True, slots=True)
class Layout:
    """The directories of a workload.

    `directory_name` names each by its number.  `sizes` are the files of a directory by name, in bytes; `content` makes
    one (directory, name of the file).  `probe` is a small file that is read completely at each reuse.
    """

    directory_name: Callable[[int], str]
    sizes: Mapping[str, int]
    content: Callable[[int, str], bytes]
    probe: str

    @property
    def directory_bytes(self) -> int:
        """The size of the files of a directory."""
        return sum(self.sizes.values())


@dataclass(frozen=True, slots=True)
class FileSet:
    """A complete file set; the document root `root` contains its directories below `file_set/`.

    `made` is the number of directories that had to be written.
    """

    root: Path
    directories: int
    made: int


def ensure(layout: Layout, root: Path, directories: int, progress: Progress | None = None) -> FileSet:
    """The file set with (at least) `directories` directories below `root`.

    Correct directories are reused: the names and sizes of all their files are checked, and one small file of each is
    read.  The others are made.  Raises LoadgenError when `root` cannot be written, or has too little space.
    """

    def make_file(path: Path, directory: int, name: str) -> None:
        path.write_bytes(layout.content(directory, name))

    return _fill(layout, root, directories, progress, make_file)


def copy(layout: Layout, source: FileSet, root: Path, progress: Progress | None = None) -> FileSet:
    """A copy of `source` below another root, for a VM with files of its own; made and reused like :func:`ensure`."""

    def copy_file(path: Path, directory: int, name: str) -> None:
        shutil.copyfile(source.root / FOLDER / layout.directory_name(directory) / name, path)

    return _fill(layout, root, source.directories, progress, copy_file)


def verify(layout: Layout, root: Path, directories: int) -> list[str]:
    """Compare every byte of the file set; returns one line for each error."""
    problems = []
    for directory in range(directories):
        path = root / FOLDER / layout.directory_name(directory)
        try:
            found_there = sorted(path.iterdir())
        except OSError as error:
            missing = isinstance(error, FileNotFoundError | NotADirectoryError)
            problems.append(f"{path}: {'missing' if missing else error.strerror}")
            continue
        problems += [f"{extra}: not part of the file set" for extra in found_there if extra.name not in layout.sizes]
        for name in layout.sizes:
            file = path / name
            try:
                found = file.read_bytes()
            except OSError as error:
                problems.append(f"{file}: {error.strerror}")
                continue
            expected = layout.content(directory, name)
            if len(found) != len(expected):
                problems.append(f"{file}: {len(found)} bytes, expected {len(expected)}")
            elif found != expected:
                at = next(i for i, (a, b) in enumerate(zip(found, expected, strict=True)) if a != b)
                problems.append(f"{file}: wrong from byte {at} on")
    return problems


def _fill(layout: Layout, root: Path, directories: int, progress: Progress | None, make_file: _MakeFile) -> FileSet:
    made = 0
    with _explained(root):
        root.mkdir(parents=True, exist_ok=True)
        if _missing(layout, root, directories):
            with _locked(root):
                _sweep(root)
                missing = _missing(layout, root, directories)  # again: another process may have made some
                _require_room(layout, root, len(missing))
                for directory in missing:
                    if progress:
                        progress(directories - len(missing) + made, directories)
                    with _room_explained(layout, root, len(missing) - made):
                        _make_directory(layout, root, directory, make_file)
                    made += 1
    if progress:
        progress(directories, directories)
    return FileSet(root, directories, made)


def _missing(layout: Layout, root: Path, directories: int) -> list[int]:
    return [directory for directory in range(directories) if not _is_whole(layout, root, directory)]


def _is_whole(layout: Layout, root: Path, directory: int) -> bool:
    path = root / FOLDER / layout.directory_name(directory)
    try:
        with os.scandir(path) as entries:
            sizes = {entry.name: entry.stat(follow_symlinks=False).st_size for entry in entries}
        if sizes != layout.sizes:
            return False
        # after a crash, or in a file set of another version, sizes may be correct and bytes wrong
        return (path / layout.probe).read_bytes() == layout.content(directory, layout.probe)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return False


def _make_directory(layout: Layout, root: Path, directory: int, make_file: _MakeFile) -> None:
    name = layout.directory_name(directory)
    new = root / f"{_TEMPORARY}{name}"
    final = root / FOLDER / name
    try:
        new.mkdir()
        for file_name in layout.sizes:
            file = new / file_name
            make_file(file, directory, file_name)
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


def _require_room(layout: Layout, root: Path, directories: int) -> None:
    """Raises LoadgenError, before anything is written, when there is too little space for this many directories."""
    disk = os.statvfs(root)
    block = disk.f_frsize
    needed = directories * (sum(-(-size // block) * block for size in layout.sizes.values()) + block)
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
def _room_explained(layout: Layout, root: Path, directories: int) -> Iterator[None]:
    """Report a disk that becomes full during the work (other processes may write) like one that was full before."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _require_room(layout, root, directories)
        raise LoadgenError(
            f"writing the file set to {root} failed: {error.strerror} "
            f"({directories * layout.directory_bytes / 1e6:.0f} MB were still to be written)",
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
