"""What an engine noticed about servers besides the outcomes of operations, counted, for notes about the run."""

from __future__ import annotations

from collections import Counter

_MOST = 32  # different remarks that are kept: texts of servers may hold anything


class Remarks:
    """Counts of remarks since the last `take`."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, text: str) -> None:
        """Count one remark."""
        if text in self._counts or len(self._counts) < _MOST:
            self._counts[text] += 1

    def take(self) -> dict[str, int]:
        """The counts, which begin again."""
        counts, self._counts = dict(self._counts), Counter()
        return counts
