"""What differs between groups of runs, besides what they measured."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from loadgen.verdict.compare_result import Unlike

_VARYING = ("load_average", "command_line")
"""Fields of the environment that differ from run to run."""

_NONE = "-"
_MOST_CHARACTERS = 60


def flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """The leaves of plain data as (path, text), like `phases.measure_ns` or `requests[0].url`."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from flat(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple) and value:
        for place, item in enumerate(value):
            yield from flat(item, f"{name}[{place}]")
    else:
        yield name, value if isinstance(value, str) and value else json.dumps(value, default=str)


def unlike(groups: Sequence[Sequence[Mapping[str, Any]]]) -> tuple[Unlike, ...]:
    """The leaves that are not the same in all groups, or not in all runs of a group; a group has plain data per run."""
    leaves = [[dict(flat(run)) for run in group] for group in groups]
    names = dict.fromkeys(name for group in leaves for run in group for name in run)
    found = []
    for name in names:
        texts = [dict.fromkeys(run.get(name, _NONE) for run in group) for group in leaves]
        if len({text for of in texts for text in of}) > 1:
            found.append(Unlike(what=name, values=tuple(" or ".join(map(_short, of)) for of in texts)))
    return tuple(found)


def of_environment(environment: Mapping[str, Any]) -> dict[str, Any]:
    """The plain data of an environment without what differs from run to run."""
    return {name: value for name, value in environment.items() if name not in _VARYING}


def allowed(what: str, fields: Sequence[str]) -> bool:
    """Whether the path `what` is one of `fields`, or lies below one."""
    return any(what == field or what.startswith((f"{field}.", f"{field}[")) for field in fields)


def _short(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 3]}..."
