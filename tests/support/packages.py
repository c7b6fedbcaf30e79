"""Builds distributions of this project and installs them into empty environments, outside the repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 300
"""Time limit for one build or installation, in seconds; the machine may be busy, and pip's cache empty."""


def tracked() -> list[Path]:
    """Return the files of the repository relative to ROOT, and files that git would add; skips without git."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git repository: which files belong to the project is not known")
    listed = subprocess.run(
        [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
    )
    return [path for name in listed.stdout.decode().split("\0") if name and (ROOT / (path := Path(name))).is_file()]


def copy(files: Iterable[Path], target: Path) -> None:
    """Copy files of the repository to the same places below `target`."""
    for path in files:
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, target / path)


def run(*command: str | Path, cwd: Path, more: Mapping[str, str] | None = None) -> str:
    """Return the output of a command, with `more` in its environment; fails with the output if the command fails."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**kept, **(more or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, f"{command} exited with {done.returncode}:\n{done.stdout[-6_000:]}"
    return done.stdout


@dataclass(frozen=True)
class Installed:
    """A separate environment in which only loadgen and its dependencies are installed."""

    place: Path
    log: str

    @property
    def bin(self) -> Path:
        return self.place / "bin"

    def python(self, code: str) -> str:
        """Return the output of a program in this environment; the repository is not on its path."""
        return run(self.bin / "python", "-P", "-c", code, cwd=self.place).strip()


def install(package: Path, place: Path, more: Mapping[str, str] | None = None) -> Installed:
    """Install a wheel or a source distribution, with the locked versions of its dependencies."""
    run(sys.executable, "-m", "venv", place, cwd=place.parent)
    pip = (place / "bin" / "pip", "install", "-v", "--no-warn-script-location")
    return Installed(place, run(*pip, "--constraint", ROOT / "constraints.txt", package, cwd=place, more=more))
