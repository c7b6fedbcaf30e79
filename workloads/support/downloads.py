"""The files that users download: names, sizes and contents."""

from __future__ import annotations

import math
import re

from workloads import content
from workloads.fileset import FOLDER, Layout
from workloads.support import facts

STRIDE_BYTES = 4096

SIZES = {
    f"class{class_}_{number}": first + step * number
    for class_, (_, first, step, parts) in enumerate(facts.DOWNLOAD_CLASSES)
    for number in range(len(parts))
}
"""The size of each file of a directory by its name, in bytes."""

FILES = tuple(SIZES)

_KEY = 0x05_0001  # part of the seed of every file; another value gives another file set
_PATH = re.compile(rf"/{FOLDER}/dir([0-9]{{10}})/({'|'.join(FILES)})")


def directories(sessions: int) -> int:
    """The number of directories for so many simultaneous sessions."""
    return max(1, math.ceil(facts.DIRECTORIES_PER_SESSION * sessions))


def directory_name(directory: int) -> str:
    """The name of a directory: `dir` and ten digits."""
    return f"dir{directory:010d}"


def name(directory: int, file: str) -> str:
    """The path of a file below the document root, which its header line and its validation bytes contain."""
    return f"{FOLDER}/{directory_name(directory)}/{file}"


def path(directory: int, file: str) -> str:
    """The path of a file in requests."""
    return f"/{name(directory, file)}"


def is_path(text: str) -> bool:
    """Whether :func:`path` can make this text: only such paths are opened, so no request leaves the document root."""
    return _PATH.fullmatch(text) is not None


def file_content(directory: int, file: str) -> bytes:
    """The content of a file, header line included."""
    key = (_KEY, directory * len(FILES) + FILES.index(file))
    return content.whole(name(directory, file), SIZES[file], STRIDE_BYTES, key)


LAYOUT = Layout(directory_name=directory_name, sizes=SIZES, content=file_content, probe=FILES[0])
