"""Runs the unit and contract tests on each supported Python that this machine has: `make test-pythons`."""

from __future__ import annotations

import os
from pathlib import Path

import nox

PYTHONS = nox.project.python_versions(nox.project.load_toml("pyproject.toml"))

nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False  # a session without its interpreter is skipped, also in CI

# pyenv's own commands for versions that are not active fail, so the interpreters themselves come first in PATH.
_INSTALLED = sorted(Path("~/.pyenv/versions").expanduser().glob("3.*/bin"))
os.environ["PATH"] = os.pathsep.join([*map(str, _INSTALLED), os.environ["PATH"]])


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Install loadgen with its compiled parts, and run these tests, or the paths that follow after `--`."""
    # The compiled parts of each Python have names of their own, so they do not overwrite each other in the source tree.
    session.install("--quiet", "--constraint", "constraints.txt", "--editable", ".[test]")
    session.run("pytest", "-q", "-n", "2", *(session.posargs or ["tests/unit", "tests/contract"]))
