"""How connections are shared out: exactly, and independent of how many workers play them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass


def share_out(total: int, weights: Sequence[int]) -> list[int]:
    """Split `total` by weight into whole shares that add up to it exactly (cumulative rounding)."""
    cuts = [total * c // sum(weights) for c in itertools.accumulate(weights, initial=0)]
    return [hi - lo for lo, hi in itertools.pairwise(cuts)]


@dataclass(frozen=True, slots=True)
class Shard:
    """The connections of one engine process: `index, index + of, ...` of the global numbering."""

    index: int
    of: int

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.of:
            raise ValueError(f"shard {self.index} of {self.of}")

    def connections(self, total: int) -> range:
        """The global numbers of the connections that this shard plays, out of `total`."""
        return range(self.index, total, self.of)
