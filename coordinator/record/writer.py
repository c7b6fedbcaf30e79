"""Writes a record, so that it can be read at every moment, whenever and however its run ends.

    run.json            complete at every moment: "unfinished" from the start, replaced at the end
    intervals.msgpack   what was measured, in the order in which it came, one msgpack map after another: every
                        snapshot of every worker, or every finished test of a network run
    disturbance.msgpack in a run with load machines: what each second was like on each of them
    vm_counters.msgpack where VMs are of this machine: what each second was like in each of them
    connections.npz     at the end of a spec run: the counts of each connection in each iteration
    agents.log          in a run on several load machines: the log lines of their agents

The record of a sweep is a directory with a run.json, and below it a whole record for each point.

Rules.  A record that cannot be begun is an error before any traffic.  A record that cannot be continued (when the disk
is full) never stops the run: it becomes a line in `problems`, and the result is still shown.  Data that the kernel has
survives SIGKILL, so nothing is buffered here.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import msgpack
import numpy as np
from numpy.typing import NDArray

from coordinator.record.connections import STATES
from coordinator.record.header import RecordError
from coordinator.record.kinds import KIND_SPEC
from loadgen.model.secrets import mask_text

RUN = "run.json"
INTERVALS = "intervals.msgpack"
DISTURBANCE = "disturbance.msgpack"
VM_COUNTERS = "vm_counters.msgpack"
CONNECTIONS = "connections.npz"
AGENTS_LOG = "agents.log"

_OURS_ONLY = 0o700  # a record can be copied to others, but it is not shown to them by default
_LOOKED_AT_S = 0.1
_MAX_LOG_BYTES = 4 << 20
"""The limit for all agents together, so that a machine that logs without end cannot fill the disk."""


class Measured(Protocol):
    """A measurement that is written to the intervals."""

    def to_wire(self) -> Mapping[str, Any]:
        """The value as plain data for msgpack."""


def claim_directory(started_at: datetime, parent: Path = Path("runs"), *, kind: str = KIND_SPEC) -> Path:
    """Make `runs/<time>-<kind>`, with a number appended when another run began in the same second, and return it.

    Making it claims the name: of several runs that begin at once, each gets its own.  Raises RecordError.
    """
    name = f"{started_at:%Y-%m-%dT%H-%M-%S}-{kind}"
    path, tries = parent / name, 1
    try:
        parent.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                path.mkdir(mode=_OURS_ONLY)
            except FileExistsError:
                tries += 1
                path = parent / f"{name}-{tries}"
            else:
                return path
    except OSError as error:
        raise _unwritable(path, error) from error


class RecordWriter:
    """Owns the directory of one record.  Only the constructor raises RecordError, when the record cannot be begun."""

    def __init__(self, directory: Path, document: Mapping[str, Any], *, again: bool = False) -> None:
        """Begin a record in `directory`, which must be empty or missing; with `again`, continue the record there."""
        self.path = directory
        self._problems: list[str] = []
        self._intervals: io.FileIO | None = None
        self._seconds: dict[str, io.FileIO] = {}
        self._cut_short: set[str] = set()
        self._good_bytes = 0
        self._complete = True
        self._logged_bytes = 0
        self._lock = -1
        self._again = again
        self._made = False
        try:
            if again:
                self._lock = _lock_to_write(directory)
                _replace(directory / RUN, _dump(document))
            else:
                self._made = _make(directory)
                self._lock = _lock_to_write(directory)
                self._begin(_dump(document))
        except BlockingIOError:
            raise RecordError(
                f"another loadgen is writing the record in {directory}", hint="wait until it has ended, or stop it"
            ) from None
        except OSError as error:
            self.close()
            raise _unwritable(directory, error) from error

    def _begin(self, run: bytes) -> None:
        """Write the first run.json.  The directory is locked, so that two runs cannot both find it empty."""
        try:
            if any(self.path.iterdir()):
                raise FileExistsError(None, "the directory is not empty")
            _replace(self.path / RUN, run)
        except OSError:
            if self._made:
                self.path.rmdir()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def problems(self) -> tuple[str, ...]:
        """One sentence for each part that could not be recorded; empty when everything was."""
        return tuple(self._problems)

    def append(self, items: Iterable[Measured]) -> None:
        """Append measurements.  After the first failure nothing more is appended, because a gap would mislead."""
        if not self._complete:
            return
        data = b"".join(msgpack.packb(item.to_wire()) for item in items)
        try:
            if self._intervals is None:
                self._intervals = _open_private(self.path / INTERVALS, os.O_EXCL)
            _write_all(self._intervals, data)
            self._good_bytes += len(data)
        except OSError as error:
            self._complete = False
            self._problems.append(f"the record ends early: {INTERVALS}: {_say(error)}")
            if self._intervals is not None:
                with contextlib.suppress(OSError):  # the reader also accepts an incomplete frame
                    self._intervals.truncate(self._good_bytes)

    def observe(self, second: Measured, name: str = DISTURBANCE) -> None:
        """Append what a second was like, on a load machine or (with VM_COUNTERS as `name`) in the VMs.

        After the first failure nothing more is appended to that file.
        """
        if name in self._cut_short or self._lock < 0:
            return
        try:
            if name not in self._seconds:
                self._seconds[name] = _open_private(self.path / name, os.O_EXCL)
            _write_all(self._seconds[name], msgpack.packb(second.to_wire()))
        except OSError as error:
            self._cut_short.add(name)
            self._problems.append(f"the record ends early: {name}: {_say(error)}")

    def log(self, machine: str, line: str) -> None:
        """Append a line that the agent of a machine logged.  Lines beyond the limit are dropped."""
        data = f"{machine}: {mask_text(line)}\n".encode(errors="replace")
        self._logged_bytes += len(data)
        if self._logged_bytes <= _MAX_LOG_BYTES:
            with contextlib.suppress(OSError), _open_private(self.path / AGENTS_LOG, os.O_APPEND) as file:
                file.write(data)

    def rewrite(self, document: Mapping[str, Any]) -> None:
        """Replace run.json by `document`, in one step."""
        self._try(RUN, _dump(document))

    def finish(self, document: Mapping[str, Any], connections: NDArray[np.void] | None = None) -> None:
        """Write the end of the run: `document`, and `connections` with CONNECTION_DTYPE where the run has them."""
        if connections is not None:
            packed = io.BytesIO()
            np.savez_compressed(packed, connections=connections, states=np.array(STATES))
            self._try(CONNECTIONS, packed.getvalue())
        # Last, so that a finished run.json means a finished record.
        self.rewrite(document)
        self.close()

    def discard(self) -> None:
        """Remove the record: the run could not be begun.  What was measured, or is continued, is never removed."""
        self.close()
        if self._again or (self.path / INTERVALS).exists():
            return
        with contextlib.suppress(OSError):
            for name in (RUN, DISTURBANCE, VM_COUNTERS, AGENTS_LOG):
                (self.path / name).unlink(missing_ok=True)
            if self._made:
                self.path.rmdir()

    def close(self) -> None:
        """Close the files.  A record that was not finished stays readable as unfinished."""
        self._complete = False
        for file in (self._intervals, *self._seconds.values()):
            if file is not None:
                file.close()
        self._intervals = None
        self._seconds.clear()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _try(self, name: str, data: bytes) -> None:
        try:
            _replace(self.path / name, data)
        except OSError as error:
            self._problems.append(f"the record is incomplete: {name}: {_say(error)}")


def _lock_to_write(directory: Path) -> int:
    """Lock the record, and try again for a moment: who only looks at it holds the lock, too, and not for long."""
    deadline_s = time.monotonic() + _LOOKED_AT_S
    while True:
        try:
            return _lock(directory, fcntl.LOCK_EX)
        except BlockingIOError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(_LOOKED_AT_S / 20)


def _lock(directory: Path, kind: int) -> int:
    """Lock the record against other writers until the returned descriptor is closed.

    The kernel releases the lock of a process that was killed.  Raises BlockingIOError when another process holds it.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def is_being_written(directory: Path) -> bool:
    """Whether a process of this machine is writing the record."""
    try:
        os.close(_lock(directory, fcntl.LOCK_SH))  # shared: others may look, too
    except BlockingIOError:
        return True
    except OSError:  # it cannot be said, for example on a file system without locks
        return False
    return False


def _make(directory: Path) -> bool:
    """Make the directory; whether it is new."""
    try:
        directory.mkdir(mode=_OURS_ONLY)
    except FileNotFoundError:
        if directory.parent.is_dir():  # some file systems answer so when they have no place for directories
            raise
        directory.parent.mkdir(parents=True, exist_ok=True)
        return _make(directory)
    except FileExistsError:
        if directory.is_dir():
            return False
        raise
    return True


def _open_private(path: Path, flags: int) -> io.FileIO:
    """Open a file for writing that only its owner can read: addresses, plans and logs may say more than one knows."""
    return io.FileIO(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | flags, 0o600), "wb")


def _dump(document: Mapping[str, Any]) -> bytes:
    import msgspec  # here, because commands that write no record start faster without it

    # json writes indented text in Python, which takes four times as long as to write one line and to break it
    line = json.dumps(document, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
    return msgspec.json.format(line, indent=2) + b"\n"


def _replace(path: Path, data: bytes) -> None:
    """Replace the content of `path` by `data` in one step: a crash or a power cut leaves the old or the new one."""
    beside = path.with_name(f".{path.name}.new")
    try:
        with _open_private(beside, os.O_TRUNC) as file:
            _write_all(file, data)
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _write_all(file: io.FileIO, data: bytes) -> None:
    """Write all of `data`.  An unbuffered write may stop half-way, as on a full disk; the next one raises the error."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def _unwritable(directory: Path, error: OSError) -> RecordError:
    return RecordError(
        f"the record cannot be written to {directory}: {_say(error)}", hint="give another directory with --out"
    )


def _say(error: OSError) -> str:
    return error.strerror or str(error)
