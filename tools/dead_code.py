"""Finds unused code with vulture.  `make lint` runs it.

Vulture does not see that a catalog names a class or a function as a string, `package.module:name`.  This program
collects these strings, so that an entry in a catalog counts as a use.  Other exceptions are in tools/unused.py.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from vulture.config import make_config
from vulture.core import Vulture

_PLACE = re.compile(r"(?:loadgen|workloads|deploy|coordinator)(?:\.\w+)*:(\w+)")


def named_places(paths: list[Path]) -> set[str]:
    """The names after the colon in all strings `package.module:name` of the Python files below `paths`."""
    return {name for path in paths for file in _python_files(path) for name in _names_in(file)}


def main() -> int:
    """Print what is unused; the exit code is 0 when nothing is."""
    config = make_config()
    vulture = Vulture(ignore_names=config["ignore_names"], ignore_decorators=config["ignore_decorators"])
    vulture.scavenge(config["paths"], exclude=config["exclude"])
    vulture.scan("\n".join(f"_.{name}" for name in sorted(named_places([Path(path) for path in config["paths"]]))))
    return int(vulture.report(min_confidence=config["min_confidence"]))


def _python_files(path: Path) -> Iterator[Path]:
    return path.rglob("*.py") if path.is_dir() else iter([path])


def _names_in(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and (found := _PLACE.fullmatch(node.value)):
            yield found[1]


if __name__ == "__main__":
    sys.exit(main())
