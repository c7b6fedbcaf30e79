"""An entry of a catalog: what is found by name, and imported when it is used."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from typing import Any, NamedTuple


class Entry(NamedTuple):
    """Where something is defined (`package.module:name`), and a summary of it for help texts."""

    place: str
    summary: str

    def load(self) -> Any:
        """What the entry names, imported now."""
        return pkgutil.resolve_name(self.place)


def choices_help(entries: Mapping[str, Entry]) -> str:
    """The names of a catalog with their summaries, for the help of an option: `text: the report; json: run.json`."""
    return "; ".join(f"{name}: {entry.summary}" for name, entry in entries.items())
