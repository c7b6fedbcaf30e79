"""Reads the project's Dockerfile and its build context: which files `docker build` would see and copy."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "operator" / "docker" / "Dockerfile"
IGNORE = ROOT / ".dockerignore"


def instructions() -> list[tuple[str, str]]:
    """Return the instructions in order: each as its word and the rest of its line, with continuation lines joined."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = [line.strip() for line in re.sub(r"\\\n\s*", "", text).splitlines() if line.strip()]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def all_of(word: str) -> list[str]:
    """Return the rest of each instruction that begins with `word`."""
    return [rest for found, rest in instructions() if found == word]


def copied_sources() -> list[str]:
    """Return every path of the build context that a COPY instruction names."""
    lines = [rest.split() for rest in all_of("COPY") if not rest.startswith("--from=")]
    return [source for *sources, _ in lines for source in sources]


def wheel_command() -> list[str]:
    """Return the words of the instruction that builds the wheel."""
    [found] = [rest for rest in all_of("RUN") if rest.startswith("pip wheel ")]
    return shlex.split(found)


def is_in_context(path: PurePosixPath) -> bool:
    """Whether `.dockerignore` lets a file into the build context: the last pattern that matches decides."""
    included = True
    for line in IGNORE.read_text(encoding="utf-8").splitlines():
        pattern = line.strip()
        if pattern and not pattern.startswith("#") and _matches(path, pattern.removeprefix("!")):
            included = pattern.startswith("!")
    return included


def copied_files() -> Iterator[PurePosixPath]:
    """Return the files that the image's build stage gets, relative to the project's directory."""
    for source in copied_sources():
        found = ROOT / source
        for path in [found] if found.is_file() else sorted(found.rglob("*")):
            relative = PurePosixPath(path.relative_to(ROOT))
            if path.is_file() and is_in_context(relative):
                yield relative


def _matches(path: PurePosixPath, pattern: str) -> bool:
    """Whether a pattern matches the path or a directory above it, as Docker reads patterns."""
    if pattern.startswith("**/"):
        return any(fnmatch(part, pattern.removeprefix("**/")) for part in path.parts)
    wanted = PurePosixPath(pattern).parts
    return all(fnmatch(part, each) for part, each in zip(path.parts, wanted, strict=False)) and (
        len(path.parts) >= len(wanted)
    )
