"""Archives in the format `newc` of cpio, which the kernel unpacks as its first file system."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

_MAGIC = b"070701"
_END = "TRAILER!!!"
_ALIGNED_BYTES = 4


def pack(files: Mapping[str, bytes], directories: tuple[str, ...] = ()) -> bytes:
    """An archive of executable files and of directories, with all directories above them; paths are absolute.

    Format: linux/Documentation/driver-api/early-userspace/buffer-format.rst.
    """
    above = {str(parent) for path in (*files, *directories) for parent in PurePosixPath(path).parents}
    archive = bytearray()
    for number, (path, mode, data) in enumerate(_entries(files, sorted(above | set(directories))), start=1):
        name = path.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
        archive += _MAGIC + b"".join(b"%08X" % field for field in fields) + name
        _align(archive)
        archive += data
        _align(archive)
    return bytes(archive)


def _entries(files: Mapping[str, bytes], directories: list[str]) -> Iterator[tuple[str, int, bytes]]:
    """The path below the root, the mode and the content of each entry; directories come before what is in them."""
    for directory in directories:
        if directory != "/":
            yield directory.lstrip("/"), stat.S_IFDIR | 0o755, b""
    for path, data in files.items():
        yield path.lstrip("/"), stat.S_IFREG | 0o755, data
    yield _END, 0, b""


def _align(archive: bytearray) -> None:
    archive += b"\0" * (-len(archive) % _ALIGNED_BYTES)
