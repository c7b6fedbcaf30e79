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
    loader = _loader(program)
    if not loader:
        return set()
    environment = {**os.environ, "LD_PRELOAD": ":".join(preloaded)}
    argv = [loader, "--list", program]  # `mount` itself heeds no variables of a user other than root: it is setuid
    try:
        said = subprocess.run(
            argv, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PlanError(f"the libraries of {program} cannot be found: {error}") from error
    return {os.path.normpath(path) for path in _LOADED.findall(said.stdout.decode(errors="surrogateescape"))}


def _loader(program: str) -> str:
    """The path of the loader that an ELF file names; "" for a script, and for a program that is linked statically."""
    with Path(program).open("rb") as file:
        start = file.read(4096)
    found = re.search(rb"\0(/[^\0]*/ld-[^\0]+)\0", start)
    return os.fsdecode(found[1]) if start.startswith(b"\x7fELF") and found else ""
