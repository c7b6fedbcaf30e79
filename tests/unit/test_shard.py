from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.model.shard import Shard, share_out

WEIGHTS = st.lists(st.integers(1, 1000), min_size=1, max_size=200)


@given(st.integers(0, 10**6), WEIGHTS)
def test_shares_add_up_and_differ_by_less_than_one_from_the_exact_share(total: int, weights: list[int]) -> None:
    shares = share_out(total, weights)
    assert sum(shares) == total
    assert len(shares) == len(weights)
    for share, weight in zip(shares, weights, strict=True):
        assert abs(share * sum(weights) - total * weight) < sum(weights)


@given(st.integers(1, 1000), st.integers(1, 200))
def test_equal_weights_share_evenly_when_possible(each: int, vms: int) -> None:
    assert share_out(each * vms, [7] * vms) == [each] * vms


def test_twice_the_weight_gets_twice_the_connections() -> None:
    assert share_out(60, [1, 2, 3]) == [10, 20, 30]


@given(st.sets(st.integers(0, 2**32 - 1)))
def test_a_shard_survives_the_wire(numbers: set[int]) -> None:
    shard = Shard(tuple(sorted(numbers)))
    assert Shard.from_wire(shard.to_wire()) == shard


@pytest.mark.parametrize("wire", [b"abc", b"\1\0\0\0" * 2, "text", 7])
def test_invalid_shards_are_refused(wire: object) -> None:
    with pytest.raises(ValueError, match="shard"):
        Shard.from_wire(wire)  # type: ignore[arg-type]
