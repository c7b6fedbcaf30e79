"""Prints the files that a Python with an application has mapped (`python -m deploy.oci.libraries APP`)."""

from __future__ import annotations

import pkgutil
import sys
from pathlib import Path

import deploy.oci.guest


def mapped_files(maps: str) -> tuple[str, ...]:
    """The files in the text of /proc/PID/maps: programs and libraries, each once."""
    fields = (line.split(None, 5) for line in maps.splitlines())
    paths = (one[5] for one in fields if len(one) > 5 and one[5].startswith("/") and "x" in one[1])
    return tuple(dict.fromkeys(paths))


if __name__ == "__main__":
    if sys.argv[1]:
        pkgutil.resolve_name(sys.argv[1])
    assert deploy.oci.guest  # a container runs it
    print("\n".join(mapped_files(Path("/proc/self/maps").read_text())))  # noqa: T201 - its answer
