"""The files: names, sizes and contents, as pure functions of (directory, class, number).

A file is its header line `"%9d file_set/dirNNNNN/classC_F\\n"` (size of the whole file, own name) and
random printable characters, a newline every 64th byte.  Behind the header, every 4096th byte is a
*validation byte*: the next character of the file's own name, over and over.  Class 1 files hold one
and class 2 files two *tags*, each directly behind a validation byte, where CAD replies name an
advertisement (SPECweb99, see DESIGN.md).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from loadgen.model.errors import PlanError
from workloads.specweb99.mix import FILES, KINDS

CLASSES = len(KINDS)
FILES_PER_DIRECTORY = CLASSES * FILES
STRIDE_BYTES = 4096
MAX_DIRECTORIES = 100_000  # names, POST logs and ads have five digits for it

FILE_BYTES: NDArray[np.int64] = (1024 * 10 ** np.arange(CLASSES)[:, None]) * np.arange(1, FILES + 1) // 10
"""Size of each file, shape (class, number)."""
FILE_BYTES.flags.writeable = False
DIRECTORY_BYTES = int(FILE_BYTES.sum())

TAG_OPEN = b'<!WEB99CAD><IMG SRC="/file_set/'
TAG_CLOSE = b'"><!/WEB99CAD>'
TAG_TEXT = b"dirNNNNN/classX_Y"  # as stored: a server that substitutes nothing is always found out
TAG = TAG_OPEN + TAG_TEXT + TAG_CLOSE
TAGS = (0, 1, 2, 0)
"""Tags in a file, by class."""

_LINE_BYTES = 64
_MEAN_REPLY_BITS = 122_000  # SPECweb99's constant: 400 kbit/s are 3.28 operations a second
_PRINTABLE = (33, 124)
_CONTENT_KEY = 0x99_0001  # part of every file's seed; another value makes another file set


def directories(connections: int) -> int:
    """The directories that a file set for `connections` simultaneous connections has.

    SPECweb99: int(25 + (400000 / 122000 * connections) / 5).  Raises PlanError when names run out.
    """
    count = int(25 + (400_000 / _MEAN_REPLY_BITS * connections) / 5)
    if count > MAX_DIRECTORIES:
        raise PlanError(
            f"{connections} connections to one server need {count} directories; at most {MAX_DIRECTORIES} can be named",
            hint="spread the connections over more VMs",
        )
    return count


def file_bytes(class_: int, num: int) -> int:
    """The size of a file."""
    return int(FILE_BYTES[class_, num])


def directory_name(directory: int) -> str:
    """`dirNNNNN`."""
    return f"dir{directory:05d}"


def file_name(class_: int, num: int) -> str:
    """`classC_F`."""
    return f"class{class_}_{num}"


def name(directory: int, class_: int, num: int) -> str:
    """The file's own name, as its header line and its validation bytes spell it."""
    return f"file_set/{directory_name(directory)}/{file_name(class_, num)}"


def header(directory: int, class_: int, num: int) -> bytes:
    """The first line of a file."""
    return b"%9d %s\n" % (file_bytes(class_, num), name(directory, class_, num).encode())


HEADER_BYTES = len(header(0, 0, 0))
"""Length of the header line; the same for every file."""


def tag_offsets(directory: ArrayLike, class_: ArrayLike, num: ArrayLike) -> NDArray[np.int64]:
    """Where the tags of files begin, ascending; -1 for a tag that a file does not have.

    Takes numbers or arrays that broadcast; the result has one more axis, of length 2.
    """
    dirs, classes, nums = np.broadcast_arrays(directory, class_, num)
    # a tag lies between a validation byte and the newline that ends its line: 1 + 62 + 1 = 64 bytes
    slots = ((FILE_BYTES[classes, nums] - HEADER_BYTES - _LINE_BYTES) // STRIDE_BYTES + 1).astype(np.uint64)
    key = np.asarray(dirs * FILES_PER_DIRECTORY + classes * FILES + nums, dtype=np.uint64)
    first = _hash(2 * key) % slots
    second = (first + 1 + _hash(2 * key + 1) % np.maximum(slots - 1, 1)) % slots
    tags = np.array(TAGS)[classes]
    low = np.where(tags == 2, np.minimum(first, second), first)
    at = np.stack([low, np.maximum(first, second)], axis=-1).astype(np.int64)
    return np.where(tags[..., None] > np.arange(2), HEADER_BYTES + STRIDE_BYTES * at + 1, -1)


def content(directory: int, class_: int, num: int) -> bytes:
    """The whole file."""
    own_name = name(directory, class_, num).encode()
    size = file_bytes(class_, num) - HEADER_BYTES
    body = _printable(directory * FILES_PER_DIRECTORY + class_ * FILES + num, size)
    body[_LINE_BYTES - 1 :: _LINE_BYTES] = ord("\n")
    marks = body[::STRIDE_BYTES]
    marks[:] = np.resize(np.frombuffer(own_name, dtype=np.uint8), len(marks))
    for offset in tag_offsets(directory, class_, num):
        if offset >= 0:
            at = int(offset) - HEADER_BYTES
            body[at : at + len(TAG)] = np.frombuffer(TAG, dtype=np.uint8)
    return header(directory, class_, num) + body.tobytes()


def _printable(key: int, size: int) -> NDArray[np.uint8]:
    # random_raw: of numpy's streams, only the bit generators' own are promised to stay as they are
    raw = np.random.PCG64((_CONTENT_KEY, key)).random_raw(-(-size // 8)).astype("<u8", copy=False)
    wide = raw.view(np.uint8)[:size].astype(np.uint16)
    low, high = _PRINTABLE
    wide *= high - low + 1
    wide >>= 8
    wide += low
    return wide.astype(np.uint8)


def _hash(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Splitmix64's finalizer: turns neighbouring integers into independent ones."""
    mixed = np.atleast_1d(values) + np.uint64(1)  # arrays wrap round silently, numpy's scalars warn
    mixed *= np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (mixed ^ (mixed >> np.uint64(31))).reshape(values.shape)
