from __future__ import annotations

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from loadgen.measure.tally import TALLY_DTYPE, empty_tallies, merge_tallies
from tests.support.evidence import rows, tallies


def test_rows_of_one_window_and_connection_become_one() -> None:
    a = rows({"window": 1, "connection": 7, "ok": 2, "bytes": 10}, {"window": -1, "connection": 9, "bad": 1})
    b = rows({"window": 1, "connection": 7, "ok": 3, "busy_ns": 5}, {"window": 1, "connection": 3, "cut": 1})
    assert np.array_equal(
        merge_tallies([a, b]),
        rows(
            {"window": -1, "connection": 9, "bad": 1},
            {"window": 1, "connection": 3, "cut": 1},
            {"window": 1, "connection": 7, "ok": 5, "bytes": 10, "busy_ns": 5},
        ),
    )


def test_nothing_merges_to_no_rows() -> None:
    assert merge_tallies([]).dtype == TALLY_DTYPE
    assert len(merge_tallies([empty_tallies()])) == 0


@given(a=tallies, b=tallies, c=tallies)
def test_order_and_grouping_do_not_matter(a: NDArray[np.void], b: NDArray[np.void], c: NDArray[np.void]) -> None:
    whole = merge_tallies([a, b, c])
    assert np.array_equal(whole, merge_tallies([merge_tallies([c, a]), b]))
    assert np.array_equal(whole, merge_tallies([whole]))
    keys = list(zip(whole["window"].tolist(), whole["connection"].tolist(), strict=True))
    assert keys == sorted(set(keys))


@given(
    keys=st.sets(st.tuples(st.integers(-1, 2), st.integers(0, 30)), min_size=1), order=st.randoms(use_true_random=False)
)
def test_rows_that_are_all_different_are_put_in_order(keys: set[tuple[int, int]], order: random.Random) -> None:
    """Few or many of all that there could be: places are marked, or keys are sorted."""
    shuffled = list(keys)
    order.shuffle(shuffled)
    mixed = rows(*({"window": w, "connection": c, "ok": 100 * w + c + 100} for w, c in shuffled))
    merged = merge_tallies([mixed[: len(mixed) // 2], mixed[len(mixed) // 2 :]])
    assert list(zip(merged["window"].tolist(), merged["connection"].tolist(), strict=True)) == sorted(keys)
    assert merged["ok"].tolist() == [100 * w + c + 100 for w, c in sorted(keys)]


@given(a=tallies, b=tallies)
def test_nothing_is_lost(a: NDArray[np.void], b: NDArray[np.void]) -> None:
    merged = merge_tallies([a, b])
    for name in ("ok", "bad", "cut", "overdue", "good", "tolerable", "bytes", "busy_ns"):
        assert merged[name].sum() == a[name].sum() + b[name].sum()


@given(a=tallies)
def test_tables_with_the_same_rows_add_up_as_any_do(a: NDArray[np.void]) -> None:
    once = merge_tallies([a])
    thrice = merge_tallies([once, once, once])
    unlike = rows({"window": 3, "connection": 8, "ok": 1})  # not in any of them: what has others' rows is sorted
    assert np.array_equal(thrice, merge_tallies([once, once, once, unlike])[: len(once)])
    assert np.array_equal(thrice, merge_tallies([a, a, a]))
    for name in ("ok", "bytes", "busy_ns"):
        assert np.array_equal(thrice[name], 3 * once[name])
