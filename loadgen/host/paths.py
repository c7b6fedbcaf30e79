"""Questions about paths that a user gives."""

from __future__ import annotations

from pathlib import Path


def is_directory(path: Path) -> bool:
    """Whether `path` is a directory; False, too, when nobody can tell, as of a name that is too long."""
    try:
        return path.is_dir()
    except (OSError, ValueError):  # ValueError: a zero byte
        return False
