from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.measure.histogram import BUCKETS, EMPTY, TOP_NS, Histogram, bucket_of, highest_of, lowest_of
from tests.support.evidence import histograms, values_ns


def of(*values: int) -> Histogram:
    return Histogram.of(np.array(values, np.int64))


def test_the_buckets_tile_all_values_without_gap_or_overlap() -> None:
    buckets = np.arange(BUCKETS, dtype=np.int64)
    low, high = lowest_of(buckets), highest_of(buckets)
    assert low[0] == 0
    assert high[-1] == TOP_NS
    assert (low[1:] == high[:-1] + 1).all()
    assert (bucket_of(low) == buckets).all()
    assert (bucket_of(high) == buckets).all()
    assert ((high - low) * 1024 <= low).all()  # three significant digits


@given(a=histograms, b=histograms, c=histograms)
def test_merging_is_commutative(a: Histogram, b: Histogram, c: Histogram) -> None:
    merge = Histogram.merge_all
    assert merge([a, EMPTY]) == a == merge([EMPTY, a])
    assert merge([a, b]) == merge([b, a])
    assert merge([merge([a, b]), c]) == merge([a, merge([b, c])]) == merge([c, a, b])


@given(a=values_ns, b=values_ns)
def test_merging_equals_recording_all_values_in_one(a: list[int], b: list[int]) -> None:
    assert of(*a, *b) == Histogram.merge_all([of(*a), of(*b)])


@given(values=values_ns, n=st.integers(1, 5))
def test_recording_n_at_once_equals_recording_n_times(values: list[int], n: int) -> None:
    assert of(*values * n) == Histogram.merge_all([of(*values)] * n)
    assert of(*values * n).total == n * len(values)


@given(values=values_ns.filter(bool), q=st.floats(0.01, 100))
def test_a_percentile_is_exact_or_at_most_a_thousandth_too_large(values: list[int], q: float) -> None:
    rank = max(1, math.ceil(round(q / 100 * len(values), 6)))
    true = sorted(values)[rank - 1]
    told = of(*values).percentile_ns(q)
    assert told is not None
    assert true <= told <= min(true * 1.001, max(values))


@given(values=values_ns.filter(bool))
def test_the_extremes_are_exact(values: list[int]) -> None:
    histogram = of(*values)
    assert (histogram.min_ns, histogram.max_ns) == (min(values), max(values))
    assert histogram.percentile_ns(100) == max(values)


@given(values=values_ns.filter(bool))
def test_the_mean_is_within_half_a_bucket(values: list[int]) -> None:
    mean = of(*values).mean_ns
    assert mean == pytest.approx(sum(values) / len(values), rel=1 / 2048)


def test_a_percentile_is_by_nearest_rank() -> None:
    hundred = of(*range(1, 101))
    assert [hundred.percentile_ns(q) for q in (0.5, 1, 50, 99, 99.1, 100)] == [1, 1, 50, 99, 100, 100]
    assert [hundred.percentile_ns(q) for q in (7, 55, 56)] == [7, 55, 56]  # 7 / 100 * 100 is above 7 in floats


def test_an_empty_histogram_has_no_percentile_and_no_mean() -> None:
    assert (EMPTY.total, EMPTY.percentile_ns(50), EMPTY.mean_ns) == (0, None, None)
    assert of() == EMPTY


def test_values_out_of_range_count_at_the_ends() -> None:
    assert of(-7, 2**60) == of(0, TOP_NS)


@given(st.lists(st.integers(0, 2**40), max_size=30), st.integers(0, 2**40))
def test_sums_cover_all_values_or_those_above_a_limit(values: list[int], least: int) -> None:
    histogram = Histogram.of(np.array(values, np.int64))
    assert histogram.sum_ns() == pytest.approx(sum(values), rel=1 / 2048, abs=len(values))
    part = histogram.sum_ns(least)
    assert sum(v for v in values if v * (1 - 1 / 1024) >= least) * (1 - 1 / 1024) - len(values) <= part
    assert part <= sum(v for v in values if v >= least) * (1 + 1 / 1024) + len(values)
