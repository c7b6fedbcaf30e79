"""Opens the files of a record.  Anybody may have made a record, and a pipe in it must not be waited for."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from coordinator.record.header import RecordError


def open_regular(file: Path) -> BinaryIO:
    """Open a file of a record for reading.  Raises OSError, and RecordError when it is no regular file."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise RecordError(f"{file} is not a regular file")
    return os.fdopen(descriptor, "rb")
