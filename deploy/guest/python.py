"""The files of the Python that runs an application in a guest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import deploy
from deploy.guest.libraries import libraries_of
from loadgen.model.errors import PlanError

_LEFT_OUT = frozenset({"test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "site-packages"})
"""Directories in the standard library and in packages that no server imports."""

_NO_CODE = (".pyi", ".c", ".h", ".a", ".pyx", ".opt-1.pyc", ".opt-2.pyc")
_TIMEOUT_S = 60.0
_LIST = """
import importlib, json, sys
for name in ("deploy.guest.app", sys.argv[1].partition(":")[0]):
    importlib.import_module(name)
print(json.dumps({name: module.__file__ for name, module in sys.modules.items() if getattr(module, "__file__", None)}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """The Python of an application: its files, its environment, and the beginning of its command line."""

    files: frozenset[str]
    environment: Mapping[str, str]
    command: tuple[str, ...]


def runtime_of(app: str) -> Runtime:
    """The runtime of the application `app` (`module:function`), as this process would import it.

    All files of each package that the application imports are taken, because a package may import more later.  Raises
    PlanError when the application cannot be imported.
    """
    program = os.path.realpath(sys.executable)
    files = {program, *_code_below(Path(os.__file__).parent)}
    for name, file in _imported(app).items():
        if name.partition(".")[0] in sys.stdlib_module_names:
            continue
        if "." not in name and Path(file).name.startswith("__init__."):
            files.update(_code_below(Path(file).parent))
        files.add(file)
    extensions = sorted(file for file in files if ".so" in Path(file).suffixes)
    paths = [str(Path(deploy.__file__).parent.parent), *(path for path in sys.path if path)]
    return Runtime(
        files=frozenset(files | libraries_of(program, extensions)),
        environment={"PYTHONHOME": sys.base_prefix, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))},
        command=(program, "-S", "-P", "-m", "deploy.guest.app", app),
    )


def _imported(app: str) -> Mapping[str, str]:
    """The modules that are loaded once the application is imported, with their files; found by another process."""
    argv = [sys.executable, "-P", "-c", _LIST, app]
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PlanError(f"the application {app} could not be imported: {error}") from error
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or ["it printed no message"]
        raise PlanError(f"the application {app} cannot be imported: {said[-1]}")
    found: Mapping[str, str] = json.loads(done.stdout)
    return {name: file for name, file in found.items() if name != "__main__"}


def _code_below(directory: Path) -> Iterator[str]:
    for path, directories, files in os.walk(directory):
        directories[:] = [name for name in directories if name not in _LEFT_OUT and not name.startswith("config-")]
        yield from (f"{path}/{name}" for name in files if not name.endswith(_NO_CODE))
