from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from loadgen.measure.tally import TALLY_DTYPE, empty_tallies, merge_tallies, pack_tallies, unpack_tallies
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


def test_merging_nothing_gives_no_rows() -> None:
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
def test_different_rows_are_sorted(keys: set[tuple[int, int]], order: random.Random) -> None:
    """With few or with many of the possible rows: places are marked, or keys are sorted."""
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
def test_tables_with_the_same_rows_add_up_like_others(a: NDArray[np.void]) -> None:
    once = merge_tallies([a])
    thrice = merge_tallies([once, once, once])
    unlike = rows({"window": 3, "connection": 8, "ok": 1})  # none of these tables has this row, so rows are sorted
    assert np.array_equal(thrice, merge_tallies([once, once, once, unlike])[: len(once)])
    assert np.array_equal(thrice, merge_tallies([a, a, a]))
    for name in ("ok", "bytes", "busy_ns"):
        assert np.array_equal(thrice[name], 3 * once[name])


NARROW_BYTES = 22  # bytes of a row, instead of 48
LARGEST = {
    "window": 2**15 - 1,
    "connection": 2**32 - 1,
    **dict.fromkeys(["ok", "bad", "cut", "overdue", "good", "tolerable"], 2**8 - 1),
    "bytes": 2**32 - 1,
    "busy_ns": 2**48 - 1,
}


def test_rows_are_packed_in_half_of_the_bytes_if_all_fit() -> None:
    full = rows({**LARGEST, "connection": 1}, LARGEST, {"window": -1, "connection": 2})
    packed = pack_tallies(full)
    assert len(packed) == NARROW_BYTES * len(full)
    assert np.array_equal(unpack_tallies([packed], [len(full)]), full)
    assert pack_tallies(empty_tallies()) == b""


@pytest.mark.parametrize("name", [name for name in LARGEST if name != "connection"])
def test_a_number_that_does_not_fit_is_not_truncated(name: str) -> None:
    over = rows(LARGEST, {**LARGEST, name: LARGEST[name] + 1})
    packed = pack_tallies(over)
    assert len(packed) == 48 * len(over)
    assert np.array_equal(unpack_tallies([packed], [len(over)]), over)


@given(parts=st.lists(tallies, min_size=1, max_size=4))
def test_packed_parts_of_either_width_are_read_one_after_another(parts: list[NDArray[np.void]]) -> None:
    read = unpack_tallies([pack_tallies(part) for part in parts], [len(part) for part in parts])
    assert np.array_equal(read, np.concatenate(parts))
    one_by_one = [pack_tallies(part[::-1][::-1]) for part in parts]
    assert one_by_one == [pack_tallies(part) for part in parts]


@pytest.mark.parametrize("packed", [b"x" * 23, b"x" * 48 * 3, b"", b"x" * 44 + b"x" * 48])
def test_bytes_of_another_number_of_rows_are_refused(packed: bytes) -> None:
    with pytest.raises(ValueError, match="bytes of tallies are not 2 rows"):
        unpack_tallies([pack_tallies(rows(LARGEST)), packed], [1, 2])
