"""Small files of the kernel that are read again and again."""

from __future__ import annotations

import contextlib
import os

from deploy.limits.groups import Group

_BYTES = 16384
_PAGE_BYTES = 4000  # the kernel may give less than a page of a long list at once


def read_small(path: str) -> str:
    """The text of a small file; "" when it cannot be read.  (pathlib takes twice as long.)"""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return _whole(file)
    except OSError:  # the process has ended
        return ""
    finally:
        os.close(file)


class OpenGroup:
    """The cgroups of a VM for reading: with `keep`, files stay open, which makes reading five times as fast.

    Open files do not keep the kernel from removing a cgroup.
    """

    def __init__(self, group: Group, *, keep: bool) -> None:
        self._group = group
        self._keep = keep
        self._files: dict[tuple[str, str], int] = {}

    def read(self, controller: str, name: str) -> str:
        """The text of one file; "" when it cannot be read."""
        place = self._group.places.get(controller)
        if place is None:
            return ""
        if not self._keep:
            return read_small(f"{place}/{name}").strip()
        try:
            file = self._files.get((controller, name))
            if file is None:
                file = self._files[controller, name] = os.open(f"{place}/{name}", os.O_RDONLY | os.O_CLOEXEC)
            return _whole(file).strip()
        except OSError:  # there is no such file, or the cgroup was removed
            return ""

    def is_v1(self, controller: str) -> bool:
        """Whether a controller belongs to version 1 of cgroups."""
        return self._group.is_v1(controller)

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            with contextlib.suppress(OSError):
                os.close(file)
        self._files.clear()
        self._keep = False


def _whole(file: int) -> str:
    """The whole text of an open file.  Raises OSError."""
    data = part = os.pread(file, _BYTES, 0)
    while len(part) >= _PAGE_BYTES:
        part = os.pread(file, _BYTES, len(data))
        data += part
    return data.decode(errors="replace")
