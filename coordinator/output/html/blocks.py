"""What a page consists of: blocks of text, tables and plots, in sections.  The template draws each by its `block`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias


@dataclass(frozen=True, slots=True)
class Words:
    """A paragraph.  `tone` is "good", "bad" or "warn" for a sentence that needs it, "lead" for a title, else empty."""

    block: ClassVar[str] = "words"
    text: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Items:
    """Sentences of a list, with the word that they share, such as `note`; "" for none."""

    block: ClassVar[str] = "items"
    mark: str
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Banner:
    """A sentence that must not be overlooked."""

    block: ClassVar[str] = "banner"
    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts.  Without a `head`, the first column names the row.  `note` says what was left out."""

    block: ClassVar[str] = "table"
    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """Text that is shown as it is."""

    block: ClassVar[str] = "listing"
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot and the same numbers as a table.

    `data` is for page.js: `form` names the function there that draws it.  `says` is read to those who cannot see it.
    `note` says how the numbers were folded.
    """

    block: ClassVar[str] = "plot"
    title: str
    says: str
    data: Mapping[str, Any]
    table: Table
    note: str = ""


@dataclass(frozen=True, slots=True)
class Folded:
    """Blocks that are shown when the reader asks for them; plots are drawn then."""

    block: ClassVar[str] = "folded"
    title: str
    blocks: Sequence[Block]


Block: TypeAlias = Words | Items | Banner | Table | Listing | Plot | Folded


@dataclass(frozen=True, slots=True)
class Section:
    """Blocks under a heading."""

    title: str
    blocks: Sequence[Block] = field(default=())
