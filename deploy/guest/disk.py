"""Disks of guests: images with an ext4 file system that is read only."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from deploy.guest.boot import find_tool
from loadgen.model.errors import TargetError

_BLOCK_BYTES = 4096
_INODE_BYTES = 256
_SPARE_BYTES = 16 << 20
_TIMEOUT_S = 600.0
_EMPTY = ("/dev", "/proc", "/sys", "/tmp", "/run")


def make_disk(files: Path, image: Path) -> None:
    """Make a disk image with all that is in the directory `files`.  Raises TargetError or OSError."""
    used = count = 0
    for directory, directories, names in os.walk(files):
        count += len(directories) + len(names)
        sizes = [os.lstat(os.path.join(directory, name)).st_size for name in names]  # noqa: PTH118 - many files
        used += _BLOCK_BYTES * (len(directories) + sum(-(-size // _BLOCK_BYTES) for size in sizes))
    inodes = count + count // 10 + 64
    size = used + used // 20 + inodes * _INODE_BYTES + _SPARE_BYTES
    argv = [
        find_tool("mke2fs"),
        *("-q", "-F", "-t", "ext4", "-b", str(_BLOCK_BYTES), "-I", str(_INODE_BYTES), "-N", str(inodes), "-m", "0"),
        *("-O", "^has_journal,^resize_inode", "-E", "lazy_itable_init=1,nodiscard,root_owner=0:0"),
        *("-d", str(files), str(image), f"{-(-size // 1024)}k"),
    ]
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise TargetError(f"the disk of the VMs was not made within {_TIMEOUT_S:g} s") from None
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or ["it printed no message"]
        raise TargetError(f"the disk of the VMs could not be made: mke2fs: {said[-1]}")


def make_root(staging: Path, copied: Iterable[str], written: Mapping[str, bytes], directories: Iterable[str]) -> None:
    """Fill the directory `staging`: files of this machine at their own paths, files with a given content, directories.

    Python compares the times of its files, so they are kept.  Links are followed.  Raises OSError.
    """
    for path in (*_EMPTY, *directories):
        _place(staging, path).mkdir(parents=True, exist_ok=True)
    _place(staging, "/tmp").chmod(0o1777)  # no mount on it in the guest: loadgen itself may be installed below it
    for path in copied:
        place = _place(staging, path)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, place)
    for path, content in written.items():
        place = _place(staging, path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        place.chmod(0o755)


def _place(staging: Path, path: str) -> Path:
    return staging / path.lstrip("/")
