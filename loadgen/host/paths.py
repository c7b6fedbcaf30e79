"""Questions about paths that a user gives."""

from __future__ import annotations

import os
from pathlib import Path


def is_directory(path: Path) -> bool:
    """Whether `path` is a directory; False, too, when nobody can tell, as of a name that is too long."""
    try:
        return path.is_dir()
    except (OSError, ValueError):  # ValueError: a zero byte
        return False


def to_path(text: str) -> Path:
    """The path that a text names: its bytes in UTF-8, whatever the locale says about the names of files."""
    return Path(os.fsdecode(text.encode("utf-8", "surrogateescape")))
