from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.model.shard import Shard, share_out

WEIGHTS = st.lists(st.integers(1, 1000), min_size=1, max_size=200)


@given(st.integers(0, 10**6), WEIGHTS)
def test_shares_add_up_and_are_within_one_of_what_is_fair(total: int, weights: list[int]) -> None:
    shares = share_out(total, weights)
    assert sum(shares) == total
    assert len(shares) == len(weights)
    for share, weight in zip(shares, weights, strict=True):
        assert abs(share * sum(weights) - total * weight) < sum(weights)


@given(st.integers(1, 1000), st.integers(1, 200))
def test_equal_weights_share_evenly_what_can_be_shared_evenly(each: int, vms: int) -> None:
    assert share_out(each * vms, [7] * vms) == [each] * vms


def test_twice_the_weight_is_twice_the_connections() -> None:
    assert share_out(60, [1, 2, 3]) == [10, 20, 30]


@given(st.integers(0, 3000), st.integers(1, 64))
def test_every_connection_is_played_by_exactly_one_shard(total: int, of: int) -> None:
    shards = [Shard(index, of).connections(total) for index in range(of)]
    assert sorted(number for shard in shards for number in shard) == list(range(total))
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


@pytest.mark.parametrize(("index", "of"), [(-1, 2), (2, 2), (0, 0)])
def test_a_shard_is_one_of_some(index: int, of: int) -> None:
    with pytest.raises(ValueError, match=f"shard {index} of {of}"):
        Shard(index, of)
