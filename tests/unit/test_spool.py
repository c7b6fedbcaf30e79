"""The spool: appended data can be read, whatever the disk does."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.agent import spool as spools
from loadgen.agent.spool import (
    KEPT_NS,
    MEMORY_BYTES,
    Spool,
    default_directory,
    is_written,
    left_behind,
    prune,
    spool_path,
)
from loadgen.model.errors import FleetError


class Disk:
    """A disk that accepts `room` bytes and then reports that it is full."""

    def __init__(self, room: int) -> None:
        self.room = room

    def write(self, descriptor: int, data: bytes) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = _write(descriptor, data[: self.room])
        self.room -= written
        return written


_write = os.write


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    made = Disk(1 << 40)
    monkeypatch.setattr(os, "write", made.write)
    return made


def drained(spool: Spool, *, at_once: int, acknowledge: bool = False, offset: int = 0) -> bytes:
    found = b""
    while data := spool.read(offset + len(found), at_once):
        found += data
        if acknowledge:
            spool.acknowledge(offset + len(found))
    return found


def test_a_spool_in_use_is_recognised(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "r" / "m.spool")
    spool.append(b"abc")
    with spool.path.open("rb") as file:
        assert is_written(file)
    spool.close()
    with spool.path.open("rb") as file:
        assert not is_written(file)


def test_appended_data_is_in_the_file_at_once(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "r" / "m.spool")
    spool.append(b"abc")
    assert (tmp_path / "r" / "m.spool").read_bytes() == b"abc"
    spool.append(b"defg")
    assert (spool.length, spool.problem) == (7, "")
    assert spool.read(2, 3) == b"cde"
    assert spool.read(7, 3) == b""
    assert spools.read_part(tmp_path / "r" / "m.spool", 5, 10) == (b"fg", 7)
    spool.close()
    spool.close()
    assert (tmp_path / "r" / "m.spool").read_bytes() == b"abcdefg"


@settings(deadline=None)
@given(
    frames=st.lists(st.binary(min_size=1, max_size=40), max_size=12),
    room=st.integers(0, 300),
    at_once=st.integers(1, 50),
    acknowledge=st.booleans(),
)
def test_a_full_disk_loses_nothing(
    tmp_path_factory: pytest.TempPathFactory, frames: list[bytes], room: int, at_once: int, acknowledge: bool
) -> None:
    path = tmp_path_factory.mktemp("spool") / "r" / "m.spool"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", Disk(room).write)
        spool = Spool(path)
        found = b""
        for frame in frames:
            spool.append(frame)
            found += drained(spool, at_once=at_once, acknowledge=acknowledge, offset=len(found))
    whole = b"".join(frames)
    assert found == whole
    assert spool.length == len(whole)
    assert path.read_bytes() == whole[:room]
    assert bool(spool.problem) == (len(whole) > room)
    spool.close()


def test_data_that_does_not_fit_into_memory_is_counted(tmp_path: Path, disk: Disk) -> None:
    disk.room = 5
    spool = Spool(tmp_path / "r" / "m.spool")
    half = b"x" * (MEMORY_BYTES // 2)
    for _ in range(4):
        spool.append(half)
    assert spool.problem == "its spool could not be written any more: No space left on device; 2 reports are lost"
    assert spool.length == 2 * len(half)
    spool.acknowledge(spool.length)
    assert spool.read(5, 10) == b""
    spool.append(b"there is room again")
    assert drained(spool, at_once=100, offset=2 * len(half)) == b"there is room again"
    spool.close()


def test_an_empty_spool_is_not_kept(tmp_path: Path) -> None:
    Spool(tmp_path / "r" / "m.spool").close()
    assert list(tmp_path.iterdir()) == []
    other = Spool(tmp_path / "r" / "other.spool")
    spool = Spool(tmp_path / "r" / "m.spool")
    spool.append(b"x")
    spool.close(delete=True)
    assert [path.name for path in (tmp_path / "r").iterdir()] == ["other.spool"]
    other.close()


def test_a_spool_is_never_continued(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "r" / "m.spool")
    with pytest.raises(FleetError, match="there is a spool of this run already"):
        Spool(tmp_path / "r" / "m.spool")
    spool.close()
    (tmp_path / "file").touch()
    with pytest.raises(FleetError, match="cannot be created: File exists"):
        Spool(tmp_path / "file" / "m.spool")


@pytest.mark.parametrize("name", ["m", "tls://127.0.0.1:4000", "ü/..", "-", "a%2Fb"])
def test_names_survive_the_file_system(tmp_path: Path, name: str) -> None:
    spool = Spool(spool_path(tmp_path, f"run {name}", name))
    spool.append(b"abc")
    (found,) = left_behind(tmp_path)
    assert (found.run_id, found.machine, found.size_bytes) == (f"run {name}", name, 3)
    assert found.path == spool.path
    assert spool.path.parent.parent == tmp_path
    spool.close()


@pytest.mark.parametrize(("run_id", "name"), [("..", "m"), ("", "m"), ("r", ""), (".", "m"), ("r", "x" * 300)])
def test_invalid_names_are_refused(tmp_path: Path, run_id: str, name: str) -> None:
    with pytest.raises(FleetError, match="cannot be names of a spool"):
        spool_path(tmp_path, run_id, name)


def test_spools_are_removed_after_a_week(tmp_path: Path) -> None:
    for age in (-1, 1):
        spool = Spool(spool_path(tmp_path, f"age{age}", "m"))
        spool.append(b"x")
        spool.close()
        os.utime(spool.path, ns=(10 * KEPT_NS, 10 * KEPT_NS - KEPT_NS - age))
    prune(tmp_path, 10 * KEPT_NS)
    assert [path.name for path in tmp_path.iterdir()] == ["age-1"]
    prune(tmp_path / "nowhere", 0)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"XDG_STATE_HOME": "/state", "HOME": "/home/u"}, "/state/loadgen/spool"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/home/u"}, "/home/u/.local/state/loadgen/spool"),
        ({"HOME": "/home/u"}, "/home/u/.local/state/loadgen/spool"),
        ({}, "/.local/state/loadgen/spool"),
    ],
)
def test_the_directory_of_spools(environment: dict[str, Any], expected: str) -> None:
    assert str(default_directory(environment)) == expected
