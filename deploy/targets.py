"""Reads the file of `--targets`: servers that run already, as TOML.

>>> text = '''
... [[target]]
... name = "web1"
... host = "192.0.2.1"
... port = 8080
... weight = 2      # optional: its share of the connections
... '''
>>> parse(text, "targets.toml")[0].authority
'192.0.2.1:8080'
"""

from __future__ import annotations

from pathlib import Path

from loadgen.model.errors import PlanError
from loadgen.model.plain import as_written
from loadgen.model.target import Target
from loadgen.model.toml import parse_toml

KEYS: dict[str, type] = {"name": str, "host": str, "port": int, "weight": int}
"""The fields of a target, and their types."""
_REQUIRED = ("name", "host", "port")
_SHAPE = 'each server is a [[target]] table with name = "…", host = "…", port = … and optionally weight = …'


def load(path: Path) -> tuple[Target, ...]:
    """The targets in a file; raises PlanError when it cannot be read, and as :func:`parse`."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise PlanError(
            f"the file of targets {path} cannot be read: {error.strerror or error}", hint=f"write one: {_SHAPE}"
        ) from error
    except UnicodeDecodeError as error:
        raise PlanError(f"{path}: not UTF-8, so not TOML") from error
    return parse(text, str(path))


def parse(text: str, source: str) -> tuple[Target, ...]:
    """The targets in a text, at least one; raises PlanError, which names `source`, for anything else."""
    try:
        document = parse_toml(text)
    except ValueError as error:
        raise PlanError(f"{source}: not TOML: {error}", hint=_SHAPE) from error
    tables = document.pop("target", [])
    if document:
        raise PlanError(f"{source}: unknown key {next(iter(document))!r}", hint=_SHAPE)
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise PlanError(f"{source}: target is not an array of tables", hint=_SHAPE)
    if not tables:
        raise PlanError(f"{source}: no targets", hint=_SHAPE)
    targets = tuple(_target(table, f"{source}: target {number}") for number, table in enumerate(tables, 1))
    seen: set[str] = set()
    for target in targets:
        if target.name in seen:
            raise PlanError(f"{source}: two targets have the name {target.name!r}", hint="give each a name of its own")
        seen.add(target.name)
    return targets


def _target(table: dict[str, object], where: str) -> Target:
    for key, value in table.items():
        if key not in KEYS:
            raise PlanError(f"{where}: unknown key {key!r}", hint=_SHAPE)
        if type(value) is not KEYS[key]:  # type, since a bool is an int, too
            kind = "a text" if KEYS[key] is str else "a whole number"
            raise PlanError(f"{where}: {key} must be {kind}, got {as_written(value)}")
    for key in _REQUIRED:
        if key not in table:
            raise PlanError(f"{where}: {key} is missing", hint=_SHAPE)
    try:
        return Target(**table)  # type: ignore[arg-type]  # checked above
    except PlanError as error:
        raise PlanError(f"{where}: {error.message}", hint=error.hint) from error
