"""The shared libraries that programs of this machine load."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from loadgen.model.errors import PlanError

_LOADED = re.compile(r"^\s*(?:\S+ => )?(/\S+) \(0x", re.MULTILINE)
_TIMEOUT_S = 20.0


def libraries_of(program: str, preloaded: Iterable[str] = ()) -> set[str]:
    """The paths of all libraries that a program loads, with those that the libraries `preloaded` need (ld.so(8)).

    Paths are those by which the loader finds them, not those of the files to which links lead.  A program that is
    linked statically needs none.
    """
    environment = {**os.environ, "LD_TRACE_LOADED_OBJECTS": "1", "LD_PRELOAD": ":".join(preloaded)}
    if not _is_dynamic(program):
        return set()
    try:
        said = subprocess.run(
            [program], env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PlanError(f"the libraries of {program} cannot be found: {error}") from error
    return {os.path.normpath(path) for path in _LOADED.findall(said.stdout.decode(errors="surrogateescape"))}


def _is_dynamic(program: str) -> bool:
    """Whether an ELF file names a loader, which heeds LD_TRACE_LOADED_OBJECTS; without one, the program would run."""
    with Path(program).open("rb") as file:
        start = file.read(4096)
    return start.startswith(b"\x7fELF") and b"/ld-" in start
