"""The file set on disk: reused when it is correct, made otherwise, never incomplete."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from loadgen.model.errors import LoadgenError
from workloads.specweb99 import files, fileset


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A document root with directories 0 and 1."""
    assert fileset.ensure(tmp_path / "set", 2).made == 2
    return tmp_path / "set"


def names(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir() if path.name != ".lock")


def test_a_new_set_is_correct_and_readable_by_all(root: Path) -> None:
    assert fileset.verify(root, 2) == []
    assert names(root) == ["file_set"]
    assert names(root / "file_set") == ["dir00000", "dir00001"]
    one = root / "file_set/dir00001/class2_3"
    assert one.read_bytes() == files.content(1, 2, 3)
    assert [p.stat().st_mode & 0o777 for p in (one, one.parent, one.parent.parent)] == [0o644, 0o755, 0o755]


def test_modes_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        fileset.ensure(tmp_path, 1)
    finally:
        os.umask(before)
    one = tmp_path / "file_set/dir00000/class0_0"
    assert [p.stat().st_mode & 0o777 for p in (one, one.parent, one.parent.parent)] == [0o644, 0o755, 0o755]


def test_a_correct_set_is_reused_and_extended_for_more_connections(root: Path) -> None:
    kept = (root / "file_set/dir00000/class3_8").stat()
    told: list[tuple[int, int]] = []
    assert fileset.ensure(root, 2).made == 0
    larger = fileset.ensure(root, 3, lambda done, total: told.append((done, total)))
    assert (larger.made, larger.directories) == (1, 3)
    assert told == [(2, 3), (3, 3)]
    assert fileset.ensure(root, 1).made == 0
    after = (root / "file_set/dir00000/class3_8").stat()
    assert (after.st_ino, after.st_mtime_ns) == (kept.st_ino, kept.st_mtime_ns)


def truncate(directory: Path) -> None:
    with (directory / "class3_4").open("r+b") as file:
        file.truncate(1000)


def remove(directory: Path) -> None:
    (directory / "class1_1").unlink()


def add(directory: Path) -> None:
    (directory / "more").touch()


def of_another_version(directory: Path) -> None:
    (directory / "class1_0").write_bytes(b"x" * 1024)


def replace_by_file(directory: Path) -> None:
    for file in directory.iterdir():
        file.unlink()
    directory.rmdir()
    directory.touch()


def file_by_directory(directory: Path) -> None:
    (directory / "class0_0").unlink()
    (directory / "class0_0").mkdir()


def dangling_link(directory: Path) -> None:
    directory.rename(directory.with_name("moved"))
    directory.symlink_to("nowhere")
    directory.with_name("moved").rename(directory.parents[1] / "moved")


FAULTS = [truncate, remove, add, of_another_version, replace_by_file, file_by_directory, dangling_link]


@pytest.mark.parametrize("fault", FAULTS)
def test_wrong_files_are_made_again(root: Path, fault: Callable[[Path], None]) -> None:
    fault(root / "file_set/dir00000")
    assert fileset.verify(root, 2) != []
    assert fileset.ensure(root, 2).made == 1
    assert fileset.verify(root, 2) == []
    assert not list(root.glob(".making-*"))


def test_files_of_ended_processes_are_removed(root: Path) -> None:
    (root / ".making-dir00002").mkdir()
    (root / ".making-dir00002/class0_0").write_bytes(b"half")
    (root / ".making-dir00007-wrong").touch()
    assert fileset.ensure(root, 3).made == 1
    assert names(root) == ["file_set"]
    assert fileset.verify(root, 3) == []


def test_verify_names_every_fault(root: Path) -> None:
    first = root / "file_set/dir00000"
    content = bytearray((first / "class3_8").read_bytes())
    content[500_000] ^= 1
    (first / "class3_8").write_bytes(content)
    (first / "class0_1").unlink()
    (first / "stray").touch()
    (first / "class0_2").write_bytes(b"short")
    problems = "\n".join(fileset.verify(root, 3))
    assert "class3_8: wrong from byte 500000 on" in problems
    assert "class0_1: No such file" in problems
    assert "stray: not part of the file set" in problems
    assert "class0_2: 5 bytes, expected 307" in problems
    assert "dir00002: missing" in problems
    assert problems.count("\n") == 4


def test_a_copy_is_equal_and_independent(root: Path, tmp_path: Path) -> None:
    made = fileset.copy(fileset.ensure(root, 2), tmp_path / "copy")
    assert (made.made, made.root) == (2, tmp_path / "copy")
    assert fileset.verify(tmp_path / "copy", 2) == []
    one = "file_set/dir00000/class0_0"
    assert not (root / one).samefile(tmp_path / "copy" / one)
    assert fileset.copy(fileset.ensure(root, 2), tmp_path / "copy").made == 0


def test_two_processes_at_once_make_each_directory_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        made = list(pool.map(lambda count: fileset.ensure(tmp_path, count).made, (3, 4, 3)))
    assert sum(made) == 4
    assert fileset.verify(tmp_path, 4) == []


def test_too_little_space_is_reported_before_anything_is_written(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_frsize=4096, f_bavail=1000))
    with pytest.raises(LoadgenError, match=r"needs 41 MB more in .*, but 4 MB are free") as told:
        fileset.ensure(root, 10)
    assert told.value.hint
    assert names(root / "file_set") == ["dir00000", "dir00001"]
    assert fileset.ensure(root, 2).made == 0  # existing directories need no more space


@pytest.mark.parametrize(
    ("free_blocks", "message"),
    [(100, r"needs 16 MB more in .*, but 0 MB are free"), (10**9, r"No space left .*15 MB were still to be written")],
)
def test_a_disk_that_becomes_full_leaves_no_incomplete_directory(
    root: Path, monkeypatch: pytest.MonkeyPatch, free_blocks: int, message: str
) -> None:
    free = [10**9, free_blocks]
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_frsize=4096, f_bavail=free.pop(0)))
    content = files.content

    def full(directory: int, class_: int, num: int) -> bytes:
        if (directory, class_) == (3, 2):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return content(directory, class_, num)

    monkeypatch.setattr(files, "content", full)
    with pytest.raises(LoadgenError, match=message):
        fileset.ensure(root, 6)
    assert names(root) == ["file_set"]
    assert names(root / "file_set") == ["dir00000", "dir00001", "dir00002"]


def test_an_impossible_root_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LoadgenError, match=r"cannot be kept in .*: Not a directory"):
        fileset.ensure(tmp_path / "file" / "set", 1)
