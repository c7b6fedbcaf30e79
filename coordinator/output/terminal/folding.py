"""Long lists in reports: the worst rows are shown, the others are folded into one; run.json and CSV have all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from loadgen.verdict.span import Span

T = TypeVar("T")

MOST_ROWS = 40
"""Up to this many rows are all shown, in their own order."""

WORST_ROWS = 20
"""Of more rows, so many are shown, the worst first."""

_NAMED = 6
_SENTENCES = 10


def fold(rows: Sequence[T], badness: Callable[[T], Any]) -> tuple[Sequence[T], Sequence[T]]:
    """The rows to show and the rows to fold; the greatest `badness` is the worst, equal ones keep their order."""
    if len(rows) <= MOST_ROWS:
        return rows, ()
    worst = sorted(rows, key=badness, reverse=True)
    return worst[:WORST_ROWS], worst[WORST_ROWS:]


def folded_title(title: str, shown: Sequence[object], folded: Sequence[object]) -> str:
    """The title of a table, which says how many rows are shown when some are folded."""
    return f"{title}: the worst {len(shown)} of {len(shown) + len(folded):,}" if folded else title


def how_slow(errors: Mapping[str, int], p99: Span | None) -> tuple[int, float]:
    """The badness of a row by its errors, then by its 99th percentile."""
    return sum(errors.values()), -1.0 if p99 is None else p99.low


def few(sentences: Sequence[str]) -> list[str]:
    """The first of these sentences; instead of the others, how many there are."""
    if len(sentences) <= _SENTENCES:
        return list(sentences)
    return [*sentences[:_SENTENCES], f"{len(sentences) - _SENTENCES:,} more; run.json has all"]


def some(texts: Sequence[str], most: int = _NAMED) -> str:
    """The first `most` of these texts, and how many more there are."""
    more = f" and {len(texts) - most:,} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more
