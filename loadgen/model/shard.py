"""Exact shares of connections, and the connections of one engine process."""

from __future__ import annotations

import array
import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass


def share_out(total: int, weights: Sequence[int]) -> list[int]:
    """Split `total` by `weights` into whole shares that add up to `total` exactly (cumulative rounding)."""
    cuts = [total * c // sum(weights) for c in itertools.accumulate(weights, initial=0)]
    return [hi - lo for lo, hi in itertools.pairwise(cuts)]


@dataclass(frozen=True, slots=True)
class Shard:
    """The connections of one engine process, by global number, ascending.  Raises ValueError otherwise."""

    connections: tuple[int, ...]

    def __post_init__(self) -> None:
        if any(one >= next_ for one, next_ in itertools.pairwise((-1, *self.connections))):
            raise ValueError("the connections of a shard must be ascending numbers from 0")

    def to_wire(self) -> bytes:
        """The numbers as bytes: 4 bytes each, little endian."""
        numbers = array.array("I", self.connections)
        if sys.byteorder == "big":
            numbers.byteswap()
        return numbers.tobytes()

    @classmethod
    def from_wire(cls, wire: bytes) -> Shard:
        """The inverse of :meth:`to_wire`.  Raises ValueError if `wire` is malformed."""
        numbers = array.array("I")
        if not isinstance(wire, bytes) or len(wire) % numbers.itemsize:
            raise ValueError(f"a shard must be bytes, {numbers.itemsize} per number")
        numbers.frombytes(wire)
        if sys.byteorder == "big":
            numbers.byteswap()
        return cls(tuple(numbers))
