"""An entry of a catalog: what is found by name, and imported when it is used."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")


class Entry(NamedTuple):
    """Where something is defined (`package.module:name`), and a summary of it for help texts."""

    place: str
    summary: str

    def load(self) -> Any:
        """What the entry names, imported now."""
        return pkgutil.resolve_name(self.place)


class Imported(Mapping[str, T]):
    """Values by name, of which `places` has where they are defined (`package.module:name`).

    A value is imported when it is looked up, so that a program waits only for those that it uses.
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = places

    def __getitem__(self, name: str) -> T:
        """The value called `name`.  Raises KeyError."""
        value: T = pkgutil.resolve_name(self._places[name])
        return value

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._places)

    def __len__(self) -> int:
        """The number of names."""
        return len(self._places)


def choices_help(entries: Mapping[str, Entry]) -> str:
    """The names of a catalog with their summaries, for the help of an option: `text: the report; json: run.json`."""
    return "; ".join(f"{name}: {entry.summary}" for name, entry in entries.items())
