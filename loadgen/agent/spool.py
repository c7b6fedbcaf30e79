"""The spool of a machine: a file DIRECTORY/RUN/MACHINE.spool with its measurements, until the coordinator has them.

The file only grows, frame by frame (loadgen.host.frames).  It is the original; what is sent over the network is a copy.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, unquote

from loadgen.model.errors import FleetError
from loadgen.model.units import NS_PER_S

MEMORY_BYTES = 16 << 20
"""How much is kept in memory once the file cannot be written any more."""

KEPT_NS = 7 * 24 * 3600 * NS_PER_S
"""How long a spool is kept that was not fetched, in ns."""

_SUFFIX = ".spool"
_MAX_NAME = 200
_ELSEWHERE = "choose another directory for the spool"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftBehind:
    """A spool that was not fetched: `machine` wrote `size_bytes` in the run, the last of them at `written_ns`.

    `written_ns` is the time since the epoch, by the file system's clock.
    """

    run_id: str
    machine: str
    path: Path
    size_bytes: int
    written_ns: int


class Spool:
    """A new spool at `path`, to append to.  Raises FleetError if the file cannot be created.

    Once it cannot be written any more, `problem` says so, and further data is kept in memory.  Readers see the file and
    the memory as one sequence of bytes.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = path.open("x+b", buffering=0)  # unbuffered, so that data survives the end of the process
            with contextlib.suppress(OSError):  # some file systems have no locks
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if isinstance(error, FileExistsError) and path.exists():
                raise FleetError(f"there is a spool of this run already: {path}") from None
            raise FleetError(f"the spool {path} cannot be created: {error.strerror}", hint=_ELSEWHERE) from error
        self.path = path
        self.problem = ""
        self._in_file = 0
        self._memory = bytearray()
        self._memory_offset = 0  # the position in the spool at which the memory begins
        self._lost = 0

    @property
    def length(self) -> int:
        """The length of everything that was appended, in bytes."""
        return self._memory_offset + len(self._memory) if self.problem else self._in_file

    def append(self, frame: bytes) -> None:
        """Add a frame.  Never raises: a full disk costs the file, but not the run."""
        if self.problem and len(self._memory) + len(frame) > MEMORY_BYTES:
            self._lost += 1  # counted, so that the reader knows that something is missing
            self.problem = f"{self.problem.partition(';')[0]}; {self._lost} reports are lost"
            return
        rest = frame if self.problem else self._write(frame)
        self._memory += rest

    def _write(self, frame: bytes) -> bytes:
        """Write a frame to the file.  Returns the part that could not be written."""
        while frame:
            try:
                written = os.write(self._file.fileno(), frame)
            except OSError as error:
                self.problem = f"its spool could not be written any more: {error.strerror}"
                self._memory_offset = self._in_file
                return frame
            self._in_file += written
            frame = frame[written:]
        return b""

    def acknowledge(self, offset: int) -> None:
        """Drop the data that the coordinator has received, which is everything before `offset`, from memory."""
        gone = min(offset - self._memory_offset, len(self._memory))
        if self.problem and gone > 0:
            del self._memory[:gone]
            self._memory_offset += gone

    def read(self, offset: int, max_bytes: int) -> bytes:
        """Return up to `max_bytes` bytes from `offset`; fewer at the end.  Raises OSError."""
        if offset < self._in_file:
            return os.pread(self._file.fileno(), min(max_bytes, self._in_file - offset), offset)
        start = offset - self._memory_offset
        return bytes(self._memory[start : start + max_bytes]) if start >= 0 else b""

    def close(self, *, delete: bool = False) -> None:
        """Close the file, and delete it if `delete` is set or it is empty.  Idempotent."""
        if not self._file.closed:
            self._file.close()
            if delete or not self._in_file:
                remove(self.path)


def default_directory(environment: Mapping[str, str]) -> Path:
    """Return the usual directory for spools: below $XDG_STATE_HOME, or else below ~/.local/state."""
    state = environment.get("XDG_STATE_HOME", "")
    base = Path(state) if state.startswith("/") else Path(environment.get("HOME") or "/") / ".local" / "state"
    return base / "loadgen" / "spool"


def spool_path(directory: Path, run_id: str, machine: str) -> Path:
    """Return the path of a machine's spool.  Names are quoted.  Raises FleetError if a name is empty or too long."""
    parts = [quote(name, safe="") for name in (run_id, machine)]
    if any(not 0 < len(part) <= _MAX_NAME or not part.strip(".") for part in parts):
        raise FleetError(f"{run_id!r} and {machine!r} cannot be names of a spool")
    return directory / parts[0] / f"{parts[1]}{_SUFFIX}"


def free_bytes(directory: Path) -> int:
    """Return how many bytes this user may still write to that file system.  Raises OSError."""
    room = os.statvfs(directory)
    return room.f_bavail * room.f_frsize


def read_part(path: Path, offset: int, max_bytes: int) -> tuple[bytes, int]:
    """Return up to `max_bytes` bytes of a spool file, and its size.  Raises OSError."""
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(max_bytes), os.fstat(file.fileno()).st_size


def is_written(file: BinaryIO) -> bool:
    """Whether an agent still writes that spool, so that it must not be deleted."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def left_behind(directory: Path) -> Iterator[LeftBehind]:
    """Yield all spools in the directory, sorted by run and machine; also those of runs that are not over."""
    for path in sorted(directory.glob(f"*/*{_SUFFIX}")):
        with contextlib.suppress(OSError):  # another process has removed it
            found = path.stat()
            yield LeftBehind(
                run_id=unquote(path.parent.name),
                machine=unquote(path.name.removesuffix(_SUFFIX)),
                path=path,
                size_bytes=found.st_size,
                written_ns=found.st_mtime_ns,
            )


def remove(path: Path) -> None:
    """Delete a spool, and the directory of its run if that is empty.  Never raises OSError."""
    with contextlib.suppress(OSError):
        path.unlink()
        path.parent.rmdir()


def prune(directory: Path, now_ns: int) -> None:
    """Delete the spools that were not fetched for a week; `now_ns` is the time since the epoch."""
    for spool in left_behind(directory):
        if now_ns - spool.written_ns > KEPT_NS:
            remove(spool.path)
