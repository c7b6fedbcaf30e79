"""The assignment of connections to workers: exact shares by weight, spread evenly over the targets."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadgen.model.shard import Shard, share_out


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """The worker of each connection: `worker_of` (int32) is the index into `workers` by global connection number."""

    workers: tuple[str, ...]
    worker_of: NDArray[np.int32]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Placement):
            return NotImplemented
        return self.workers == other.workers and np.array_equal(self.worker_of, other.worker_of)

    __hash__ = None  # type: ignore[assignment]  # arrays are compared by content

    def shard(self, worker: str) -> Shard:
        """The connections that `worker` plays.  Raises ValueError if `worker` is unknown."""
        return Shard(tuple(np.flatnonzero(self.worker_of == self.workers.index(worker)).tolist()))

    def of_any(self, workers: Collection[str]) -> NDArray[np.bool_]:
        """Whether each connection is played by one of `workers`, by global connection number."""
        numbers = [number for number, worker in enumerate(self.workers) if worker in workers]
        return np.isin(self.worker_of, numbers)

    def connections(self, worker: str, target_of: NDArray[np.int32], targets: int) -> NDArray[np.int64]:
        """The number of connections that `worker` plays to each of `targets` targets, int64.

        `target_of`: target index by global connection number.  Raises ValueError if `worker` is unknown.
        """
        mine = target_of[self.worker_of == self.workers.index(worker)]
        return np.bincount(mine, minlength=targets).astype(np.int64)

    def of_streams(self, streams: int) -> Placement:
        """The placement of streams, of which each connection has so many: its streams follow each other by number."""
        return Placement(self.workers, np.repeat(self.worker_of, streams))


def place(shares: Sequence[int], weights: Sequence[int], seed: int) -> NDArray[np.int32]:
    """The index of the worker of each connection, int32 by global connection number.

    `shares[t]`: number of connections to target t; connections are numbered target by target.  `weights`: one per
    worker.  Each worker gets exactly its share of all connections (cumulative rounding), and of each target its share
    within two connections.  `seed` decides which connections of a target a worker gets.
    """
    total = sum(shares)
    counts = np.array(share_out(total, weights), np.int64)
    random = np.random.Generator(np.random.PCG64(seed))
    order = random.permutation(len(weights))
    spread = order[_sequence(counts[order])].astype(np.int32)
    ends = np.cumsum(shares)
    blocks = [spread[end - share : end] for end, share in zip(ends, shares, strict=True)]
    return np.concatenate([random.permutation(block) for block in blocks])


def _sequence(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Index i `counts[i]` times, ordered so that every prefix holds each index in proportion, within one.

    This is the quota method of apportionment (Balinski and Young, 1975): among the indexes that would not exceed their
    quota by a whole one, the next is the index that is furthest behind in relation to its count.
    """
    total = int(counts.sum())
    given = np.zeros_like(counts)
    sequence = np.empty(total, np.int64)
    for at in range(total):
        below = given * total < (at + 1) * counts
        sequence[at] = chosen = int(np.argmax(np.where(below, counts / (given + 1), -1.0)))
        given[chosen] += 1
    return sequence
