"""The package as a user gets it: built, installed into an empty environment, and run there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from loadgen.engine.api import EngineKind
from loadgen.engine.choice import available
from tests.support.cli import environment
from tests.support.dockerfile import copied_files, wheel_command
from tests.support.packages import Installed, copy, install, run, tracked

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        EngineKind.COMPILED not in available() and os.environ.get("CI") != "true", reason="there is no C compiler"
    ),
]

PACKAGES = ("loadgen", "workloads", "deploy", "coordinator")
SOURCE_ONLY = {".c", ".h", ".pxd", ".pyx"}
"""Suffixes of files that are needed to build the package, and not to run it."""

MICRO = {f"coordinator/kinds/relative/{name}" for name in ("micro.c", "micro_pairs.h", "micro_timing.h")}
"""The program of `loadgen relative --recipe micro`, which each environment compiles for itself."""

EXTENSIONS = ("deploy._null", "loadgen.engine.compiled._core", "loadgen.measure._fold", "loadgen.measure._sums")
SPEC = (
    *("spec", "--vms", "2", "--server", "builtin", "--connections", "5", "--bound", "rate:100k", "--out", "run"),
    *("--iterations", "1", "--ramp-up", "500ms", "--warmup", "0s", "--duration", "2s", "--ramp-down", "0s"),
)


@dataclass(frozen=True)
class Built:
    """The two distributions; the wheel was built from the source distribution."""

    source: Path
    wheel: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    place = tmp_path_factory.mktemp("package")
    copy(tracked(), place / "tree")
    run(sys.executable, "-m", "build", "--outdir", place / "dist", place / "tree", cwd=place)
    [source] = (place / "dist").glob("*.tar.gz")
    [wheel] = (place / "dist").glob("*.whl")
    return Built(source, wheel)


@pytest.fixture(scope="module")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return install(built.wheel, tmp_path_factory.mktemp("wheel") / "venv")


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def compiled_in(wheel: Path) -> list[str]:
    """The modules that the wheel has as shared objects."""
    return sorted(name.partition(".")[0].replace("/", ".") for name in names_in(wheel) if name.endswith(".so"))


def play(at: Installed, cache: Path) -> dict[str, Any]:
    """Return the record of a short run with the installed command, outside the repository."""
    done = subprocess.run(
        [at.bin / "loadgen", *SPEC],
        cwd=at.place,
        env=environment(cache),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    found = json.loads((at.place / "run" / "run.json").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    assert done.returncode == found["exit_code"], done.stderr
    assert done.returncode in (0, 1, 3), "the run must end with a verdict, even on a busy machine"
    assert f"(exit code {done.returncode})" in done.stdout
    assert len(found["iterations"]) == 1
    assert len(found["targets"]) == 2
    return found


def test_the_wheel_has_every_file_that_is_needed_to_run(built: Built) -> None:
    names = names_in(built.wheel)
    packaged = [path for path in tracked() if path.parts[0] in PACKAGES and path.parts[:2] != ("deploy", "operator")]
    assert {f"{package}/py.typed" for package in PACKAGES} <= {str(path) for path in packaged}
    assert [str(path) for path in packaged if path.suffix not in SOURCE_ONLY and str(path) not in names] == []


def test_the_wheel_has_nothing_else(built: Built) -> None:
    others = {name for name in names_in(built.wheel) if name.partition("/")[0] not in PACKAGES}
    assert all(name.partition("/")[0].endswith(".dist-info") for name in others)
    in_packages = names_in(built.wheel) - others
    assert {str(path) for path in map(Path, in_packages) if path.suffix in SOURCE_ONLY} == MICRO
    assert [name for name in in_packages if name.startswith("deploy/operator")] == []


def test_the_wheel_has_the_compiled_parts(built: Built) -> None:
    assert compiled_in(built.wheel) == sorted(EXTENSIONS)


def test_the_source_distribution_has_every_file_except_hidden_ones(built: Built) -> None:
    with tarfile.open(built.source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert [str(path) for path in tracked() if str(path) not in names and not path.parts[0].startswith(".")] == []


def test_an_installed_wheel_uses_the_compiled_engine(installed: Installed, tmp_path: Path) -> None:
    where = installed.python("import loadgen, coordinator; print(loadgen.__file__, coordinator.__file__)")
    assert all(path.startswith(str(installed.place)) for path in where.split())
    for name in EXTENSIONS:
        assert installed.python(f"import {name} as found; print(found.__file__)").endswith(".so")
    assert installed.python("import loadgen; print(loadgen.__version__)") in installed.log
    engines = play(installed, tmp_path)["fleet"]["engines"]
    assert [(one["engine"], one["why"]) for one in engines] == [("compiled", "")] * len(engines)


def test_a_type_checker_reads_the_types_of_an_installed_wheel(installed: Installed, tmp_path: Path) -> None:
    program = tmp_path / "user.py"
    program.write_text("from loadgen.model.units import NS_PER_S\n\nreveal_type(NS_PER_S)\n", encoding="utf-8")
    cache = tmp_path / "cache"
    mypy = (sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir", cache)
    said = run(*mypy, "--python-executable", installed.bin / "python", program, cwd=tmp_path)
    assert '"int"' in said.replace("builtins.", "")


def test_without_a_c_compiler_the_source_distribution_is_installed_with_a_message(built: Built, tmp_path: Path) -> None:
    at = install(built.source, tmp_path / "venv", more={"CC": "/nonexistent/cc"})
    for what in ("the compiled engine was not built; the Python engine is used", "counting was not compiled"):
        assert f"loadgen: {what}" in at.log
    said = at.python("from loadgen.engine.choice import describe; print(describe())")
    assert re.match("the Python engine .*no C compiler", said)
    engines = play(at, tmp_path)["fleet"]["engines"]
    assert {one["engine"] for one in engines} == {"python"}
    assert all("no C compiler" in one["why"] for one in engines)


def test_the_files_copied_by_the_dockerfile_are_enough_to_build_the_compiled_parts(tmp_path: Path) -> None:
    context = tmp_path / "src"
    copy(map(Path, copied_files()), context)
    assert (context / "loadgen").is_dir()
    assert not (context / "tests").exists()
    words = [word.replace("/wheels", str(tmp_path / "wheels")) for word in wheel_command()]
    run(sys.executable, "-m", *words, cwd=context)
    [wheel] = (tmp_path / "wheels").glob("*.whl")
    assert compiled_in(wheel) == sorted(EXTENSIONS)
