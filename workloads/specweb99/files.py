"""The files: names, sizes and contents, as pure functions of (directory, class, number).

A file begins with the header line `"%9d file_set/dirNNNNN/classC_F\\n"` (the size of the whole file and its name);
random printable characters follow, with a newline as every 64th byte.  After the header, every 4096th byte is a
*validation byte*: the next character of the file's name, which is repeated.  Class 1 files contain one and class 2
files two *tags*, each directly after a validation byte; CAD replies name an advertisement there (SPECweb99, see
DESIGN.md).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from loadgen.model.errors import PlanError
from workloads.content import LINE_BYTES, header_line, marked
from workloads.specweb99.mix import FILES, KINDS

CLASSES = len(KINDS)
FILES_PER_DIRECTORY = CLASSES * FILES
STRIDE_BYTES = 4096
MAX_DIRECTORIES = 100_000  # names, POST logs and ads have five digits for the number

FILE_BYTES: NDArray[np.int64] = (1024 * 10 ** np.arange(CLASSES)[:, None]) * np.arange(1, FILES + 1) // 10
"""The size of each file, in bytes; shape (class, number)."""
FILE_BYTES.flags.writeable = False
DIRECTORY_BYTES = int(FILE_BYTES.sum())

TAG_OPEN = b'<!WEB99CAD><IMG SRC="/file_set/'
TAG_CLOSE = b'"><!/WEB99CAD>'
TAG_TEXT = b"dirNNNNN/classX_Y"  # as stored; no ad has this name, so a server that leaves it is detected
TAG = TAG_OPEN + TAG_TEXT + TAG_CLOSE
TAGS = (0, 1, 2, 0)
"""The number of tags in a file, by class."""

_MEAN_REPLY_BITS = 122_000  # SPECweb99's constant: at 400 kbit/s, 3.28 operations per second
_CONTENT_KEY = 0x99_0001  # part of the seed of every file; another value gives another file set


def directories(connections: int) -> int:
    """The number of directories of a file set for `connections` simultaneous connections.

    SPECweb99: int(25 + (400000 / 122000 * connections) / 5).  Raises PlanError when that is more than MAX_DIRECTORIES.
    """
    count = int(25 + (400_000 / _MEAN_REPLY_BITS * connections) / 5)
    if count > MAX_DIRECTORIES:
        raise PlanError(
            f"{connections} connections to one server need {count} directories; at most {MAX_DIRECTORIES} can be named",
            hint="spread the connections over more VMs",
        )
    return count


def file_bytes(class_: int, num: int) -> int:
    """The size of a file, in bytes."""
    return int(FILE_BYTES[class_, num])


def directory_name(directory: int) -> str:
    """The name of a directory: `dirNNNNN`."""
    return f"dir{directory:05d}"


def file_name(class_: int, num: int) -> str:
    """The name of a file in its directory: `classC_F`."""
    return f"class{class_}_{num}"


def name(directory: int, class_: int, num: int) -> str:
    """The path of a file below the document root, which its header line and its validation bytes contain."""
    return f"file_set/{directory_name(directory)}/{file_name(class_, num)}"


def header(directory: int, class_: int, num: int) -> bytes:
    """The first line of a file, with the newline."""
    return header_line(file_bytes(class_, num), name(directory, class_, num))


HEADER_BYTES = len(header(0, 0, 0))
"""The length of the header line, equal for all files."""


def tag_offsets(directory: ArrayLike, class_: ArrayLike, num: ArrayLike) -> NDArray[np.int64]:
    """The offsets of the tags of files, ascending; -1 for a tag that a file does not have.

    The arguments are numbers or arrays that broadcast; the result has one more axis, of length 2.
    """
    dirs, classes, nums = np.broadcast_arrays(directory, class_, num)
    # a tag lies between a validation byte and the newline that ends its line: 1 + 62 + 1 = 64 bytes
    slots = ((FILE_BYTES[classes, nums] - HEADER_BYTES - LINE_BYTES) // STRIDE_BYTES + 1).astype(np.uint64)
    key = np.asarray(dirs * FILES_PER_DIRECTORY + classes * FILES + nums, dtype=np.uint64)
    first = _hash(2 * key) % slots
    second = (first + 1 + _hash(2 * key + 1) % np.maximum(slots - 1, 1)) % slots
    tags = np.array(TAGS)[classes]
    low = np.where(tags == 2, np.minimum(first, second), first)
    at = np.stack([low, np.maximum(first, second)], axis=-1).astype(np.int64)
    return np.where(tags[..., None] > np.arange(2), HEADER_BYTES + STRIDE_BYTES * at + 1, -1)


def content(directory: int, class_: int, num: int) -> bytes:
    """The content of a file, header line included."""
    own_name = name(directory, class_, num)
    key = (_CONTENT_KEY, directory * FILES_PER_DIRECTORY + class_ * FILES + num)
    body = marked(own_name, file_bytes(class_, num) - HEADER_BYTES, STRIDE_BYTES, key)
    for offset in tag_offsets(directory, class_, num):
        if offset >= 0:
            at = int(offset) - HEADER_BYTES
            body[at : at + len(TAG)] = np.frombuffer(TAG, dtype=np.uint8)
    return header(directory, class_, num) + body.tobytes()


def _hash(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finalizer of Splitmix64: neighbouring integers give independent results."""
    mixed = np.atleast_1d(values) + np.uint64(1)  # arrays overflow silently, scalars of numpy warn
    mixed *= np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (mixed ^ (mixed >> np.uint64(31))).reshape(values.shape)
