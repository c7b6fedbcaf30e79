"""The files of this machine in containers: an image of empty directories, over which those of this machine are mounted.

So a container has every program of this machine, and no registry is needed.  What is mounted is read-only.  The
directories for files of the moment (/tmp, /var/tmp, /run, a work directory) are the container's own.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from deploy.oci.image import Image, is_below

_OWN = ("dev", "proc", "run", "sys", "tmp", "var", "var/lock", "var/run", "var/tmp")
_SHARED = ("tmp", "var/tmp")
_NOT_NEEDED = "lost+found"


def mounts_of_this_machine(more: Iterable[str], root: Path = Path("/")) -> Mapping[str, bool]:
    """The directories that a container sees under the same names; False: it may not write to them.

    `more` are directories that it must see in any case, such as those of this Python.
    """
    found = [f"/{name}" for name, path in _entries(root) if _is_directory(path) and name not in _OWN]
    return dict.fromkeys([*found, *(path for path in more if not is_below(path, found))], False)


def image_of_directories(work: str, root: Path = Path("/")) -> Image:
    """The image with a directory for each of these, the symbolic links beside them, and the directory `work`."""
    entries = [_directory("tmp"), _directory("var"), _directory("var/tmp"), _directory(work.lstrip("/"))]
    done = {entry.name for entry in entries}
    for name, path in _entries(root):
        if path.is_symlink():
            link = tarfile.TarInfo(name)
            link.type, link.mode = tarfile.SYMTYPE, 0o777
            link.linkname = os.readlink(path)  # noqa: PTH115 - as it is written
            entries.append(link)
        elif path.is_dir() and name not in done:
            entries.append(_directory(name))
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        for entry in entries:
            tar.addfile(entry)
    return Image(tar=written.getvalue(), digest=hashlib.sha256(written.getvalue()).hexdigest()[:16])


def _entries(root: Path) -> Iterator[tuple[str, Path]]:
    """The entries of the root directory and of /var, by their names without the first slash."""
    for directory in ("", "var"):
        for path in sorted((root / directory).iterdir()):
            if path.name != _NOT_NEEDED:
                yield f"{directory}/{path.name}".lstrip("/"), path


def _is_directory(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _directory(name: str) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type = tarfile.DIRTYPE
    entry.mode = 0o1777 if name in _SHARED else 0o755
    return entry
