from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loadgen.model.shard import share_out
from loadgen.schedule.placement import Placement, place

SHARES = st.lists(st.integers(0, 60), min_size=1, max_size=20).filter(any)
WEIGHTS = st.lists(st.integers(1, 4000), min_size=1, max_size=12)


@given(SHARES, WEIGHTS, st.integers(0, 2**32))
def test_each_worker_gets_exactly_its_share(shares: list[int], weights: list[int], seed: int) -> None:
    worker_of = place(shares, weights, seed)
    assert np.bincount(worker_of, minlength=len(weights)).tolist() == share_out(sum(shares), weights)


@given(SHARES, WEIGHTS, st.integers(0, 2**32))
def test_each_worker_has_its_part_of_every_target(shares: list[int], weights: list[int], seed: int) -> None:
    worker_of = place(shares, weights, seed)
    target_of = np.repeat(np.arange(len(shares), dtype=np.int32), shares)
    placement = Placement(tuple(map(str, range(len(weights)))), worker_of)
    for number, total in enumerate(share_out(sum(shares), weights)):
        mine = placement.connections(str(number), target_of, len(shares))
        fair = np.array(shares) * total / sum(shares)
        # Before and after each target, the worker's number of connections is off by less than one.
        assert (np.abs(mine - fair) < 2).all(), (mine, fair)


@given(SHARES, WEIGHTS, st.integers(0, 2**32))
def test_shards_together_have_each_connection_once(shares: list[int], weights: list[int], seed: int) -> None:
    workers = tuple(map(str, range(len(weights))))
    placement = Placement(workers, place(shares, weights, seed))
    played = [number for worker in workers for number in placement.shard(worker).connections]
    assert sorted(played) == list(range(sum(shares)))


def test_the_seed_permutes_the_assignment() -> None:
    shares, weights = [20] * 16, [1, 1, 2]
    first, again, other = (place(shares, weights, seed) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()
    # The worker with a VM's first connection is not always the same.
    assert len(set(first[::20].tolist())) == 3
