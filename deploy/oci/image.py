"""The image of the containers: programs and libraries of this machine as a tar file, so that no registry is needed.

Python's own files and packages, the document root and the directory of a VM are not in it: they are mounted.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import deploy
from deploy.servers.base import find_binary
from loadgen.model.errors import TargetError

_DIRECTORIES = ("dev", "etc", "proc", "run", "sys", "tmp", "var/tmp")
_SHARED = ("tmp", "var/tmp")
_ETC = ("/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/ld.so.cache")
"""Web servers look up users, and the loader looks up libraries."""

_TOOLS = ("sh", "cat")

_LDD_S = 60.0
_APP_S = 60.0


@dataclass(frozen=True, slots=True)
class Image:
    """A root file system as a tar file, and its digest: equal files give equal digests."""

    tar: bytes
    digest: str


def build_image(programs: Iterable[str], app: str) -> Image:
    """The image with these programs, this Python, and the libraries that they and the application `app` need.

    It starts the programs `ldd` and this Python, which takes about half a second.  Raises TargetError.
    """
    mounted = python_paths()
    programs = [*programs, sys.executable, *_tools()]
    loaded = [path for path in _python_files(app) if not is_below(path, mounted)]
    wanted = ["/bin/sh", *programs, *_libraries(programs), *loaded, *_links_to(loaded), *_ETC]
    names = {name for path in wanted if Path(path).exists() for name in with_links(path)}
    return _pack(sorted(name for name in names if not is_below(name, mounted)))


def python_paths() -> tuple[str, ...]:
    """The directories of Python files, none below another: this Python's, its packages and loadgen."""
    own = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), str(Path(deploy.__file__).parent.parent)]
    if sys.prefix != sys.base_prefix:
        own.append(sys.prefix)
    wanted = sorted({os.path.realpath(path) for path in (*own, *sys.path) if path and Path(path).is_dir()}, key=len)
    found: list[str] = []
    for path in wanted:
        if not is_below(path, found):
            found.append(path)
    return tuple(found)


def is_below(path: str, directories: Iterable[str]) -> bool:
    """Whether a path is one of the directories, or in one of them."""
    return any(path == one or path.startswith(one.rstrip("/") + "/") for one in directories)


def with_links(path: str) -> Iterator[str]:
    """The file without symbolic links in its path, after all links on the way to it."""
    done, rest = "/", path.strip("/").split("/")
    for _ in range(256):
        if not rest:
            break
        step, *rest = rest
        step = os.path.normpath(os.path.join(done, step))  # noqa: PTH118 - Path does not know ".."
        if Path(step).is_symlink():
            yield step
            target = os.readlink(step)  # noqa: PTH115 - as it is written
            rest = [*target.strip("/").split("/"), *rest]
            done = "/" if target.startswith("/") else done
        else:
            done = step
    yield done


def _tools() -> list[str]:
    """The programs that scripts of an application use (CGI)."""
    return [path for name in _TOOLS if (path := find_binary(name)) is not None]


def _libraries(programs: list[str]) -> list[str]:
    """The libraries of these programs and modules, by the names under which they are loaded."""
    try:
        said = subprocess.run(["ldd", *programs], capture_output=True, text=True, timeout=_LDD_S, check=False).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TargetError("the libraries for an image are not known: the program ldd does not run") from error
    return re.findall(r"(/\S+) \(0x", said)


def _links_to(files: list[str]) -> Iterator[str]:
    """The symbolic links to these files beside them: a library is loaded by another name than that of its file."""
    for directory in {os.path.dirname(path) for path in files}:  # noqa: PTH120 - they are strings
        with os.scandir(directory) as entries:
            yield from (entry.path for entry in entries if entry.is_symlink() and os.path.realpath(entry.path) in files)


def _python_files(app: str) -> list[str]:
    """The program and the libraries of this Python with the application."""
    command = (sys.executable, "-P", "-m", "deploy.oci.libraries", app)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_APP_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TargetError(f"{sys.executable} does not run the application of the VMs {app}: {error}") from error
    if done.returncode != 0:
        last = done.stderr.strip().rpartition("\n")[2]
        raise TargetError(f"{sys.executable} does not run the application of the VMs {app}: {last}")
    return done.stdout.splitlines()


def _pack(names: list[str]) -> Image:
    """The files as a tar file that depends on their names, contents and permissions only."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        for directory in _DIRECTORIES:
            tar.addfile(_entry(directory, tarfile.DIRTYPE, 0o1777 if directory in _SHARED else 0o755))
        for name in names:
            path = Path(name)
            if path.is_symlink():
                link = _entry(name.lstrip("/"), tarfile.SYMTYPE, 0o777)
                link.linkname = os.readlink(name)  # noqa: PTH115 - as it is written
                tar.addfile(link)
            elif path.is_file():
                content = path.read_bytes()
                file = _entry(name.lstrip("/"), tarfile.REGTYPE, 0o755 if os.access(name, os.X_OK) else 0o644)
                file.size = len(content)
                tar.addfile(file, io.BytesIO(content))
    return Image(tar=written.getvalue(), digest=hashlib.sha256(written.getvalue()).hexdigest()[:16])


def _entry(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type = kind
    entry.mode = mode
    return entry
