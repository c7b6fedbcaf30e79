from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.measure import histograms as module
from loadgen.measure.histogram import EMPTY, Histogram, highest_of
from loadgen.measure.histograms import Histograms
from tests.support.evidence import histograms


def of(*values: int) -> Histogram:
    return Histogram.of(np.array(values, np.int64))


@given(rows=st.lists(histograms, max_size=6))
def test_rows_are_returned_as_they_were_added(rows: list[Histogram]) -> None:
    table = Histograms.of(rows)
    assert list(table) == rows
    assert list(Histograms.join([table, table])) == rows * 2


both_ways = pytest.mark.parametrize("way", ["compiled", "numpy"])


def use(way: str, patch: pytest.MonkeyPatch) -> None:
    """Use one way to add up; the compiled one must exist wherever there is a C compiler, as in CI."""
    if way == "compiled" and not module.IS_COMPILED and "CI" not in os.environ:
        pytest.skip("there was no C compiler")
    patch.setattr(module, "_add_up", {"compiled": module.add_up_compiled, "numpy": module.add_up_with_numpy}[way])


@both_ways
@given(rows=st.lists(st.tuples(histograms, st.integers(-1, 3)), max_size=8))
def test_groups_add_up_like_single_histograms(way: str, rows: list[tuple[Histogram, int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        use(way, patch)
        found = Histograms.of(one for one, _ in rows).add_up(np.array([group for _, group in rows], np.int64), 4)
    assert list(found) == [Histogram.merge_all(one for one, of_group in rows if of_group == g) for g in range(4)]


@both_ways
@given(rows=st.lists(histograms, max_size=6))
def test_histograms_from_the_wire_are_added_up(way: str, rows: list[Histogram]) -> None:
    """Their columns are as narrow as their numbers allow; columns of empty histograms are one byte wide."""
    read = Histograms.from_wires([Histograms.of(rows).to_wire()], [len(rows)])
    with pytest.MonkeyPatch.context() as patch:
        use(way, patch)
        found = read.add_up(np.zeros(len(rows), np.int64), 1)
    assert found[0] == Histogram.merge_all(rows)


@both_ways
def test_many_entries_add_up_to_the_same_result(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use(way, monkeypatch)
    parts = [Histogram.of(np.arange(at, 10**9, 30_011)) for at in range(12)]
    found = Histograms.of(parts).add_up(np.zeros(12, np.int64), 1)
    assert found[0] == Histogram.merge_all(parts)


@both_ways
@pytest.mark.parametrize("count", [1, 255, 256, 65_535, 65_536, 1 << 20, 1 << 49])
@pytest.mark.parametrize("narrow", [False, True])
def test_few_distant_entries_add_up_whatever_their_counts(
    way: str, count: int, narrow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With columns of every width that the wire format has, and with those of Histogram."""
    use(way, monkeypatch)

    def row(*indexes: int) -> Histogram:
        values = highest_of(np.array(indexes, np.int64)).tolist()
        counts = np.arange(len(indexes), dtype=np.int64) + count
        return Histogram(np.array(indexes, np.int32), counts, max_ns=values[-1], min_ns=values[0])

    rows, group = [row(3, 9000, 17000), row(5), row(3, 17000), row(1, 17000)], np.array([1, 0, 1, 0])
    table = Histograms.of(rows)
    found = (Histograms.from_wires([table.to_wire()], [4]) if narrow else table).add_up(group, 2)
    assert list(found) == [Histogram.merge_all([rows[1], rows[3]]), Histogram.merge_all([rows[0], rows[2]])]
    assert found[1].counts.tolist() == [2 * count, count + 1, 2 * count + 3]


@given(rows=st.lists(histograms, max_size=6), q=st.floats(0.01, 100))
def test_percentiles_are_those_of_the_single_histograms(rows: list[Histogram], q: float) -> None:
    assert Histograms.of(rows).percentiles_ns(q) == [one.percentile_ns(q) for one in rows]


@given(rows=st.lists(histograms, max_size=6))
def test_histograms_survive_the_wire(rows: list[Histogram]) -> None:
    assert list(Histograms.from_wires([Histograms.of(rows).to_wire()], [len(rows)])) == rows


def test_the_wire_format_holds_large_counts() -> None:
    for count in (255, 256, 65536, 2**32):
        large = Histogram(np.array([7], np.int32), np.array([count], np.int64), max_ns=7, min_ns=7)
        assert Histograms.from_wires([Histograms.of([large]).to_wire()], [1])[0] == large


def test_one_second_of_a_target_is_small_on_the_wire() -> None:
    wire = Histograms.of([of(*range(1_000_000, 66_000_000, 1_000_000))]).to_wire()
    assert len(wire["indexes"]) + len(wire["counts"]) == 3 * 65


ROWS = [of(5, 9), EMPTY, of(6)]
WIRE = Histograms.of(ROWS).to_wire()


@pytest.mark.parametrize(
    "spoilt",
    [
        {"sizes": b"\2\1\0"},  # an empty histogram has an entry, and an extreme value that is not in it
        {"sizes": b"\2\0"},
        {"sizes": b"\2\0\2"},
        {"indexes": WIRE["indexes"][:-1]},
        {"indexes": b"\5\5\6"},  # not ascending
        {"indexes": b"\x0a\5\6"},
        {"indexes": b""},
        {"counts": b"\1\1"},
        {"counts": b"\1\0\1"},  # a bucket with the count 0
        {"counts": b"\xff" * 24},
        {"counts": "\1\1\1"},
        {"min_ns": b"\6\0\6"},  # not in the first bucket
        {"max_ns": b"\x08\0\6"},  # not in the last one
        {"max_ns": b"\x09\1\6"},  # an empty histogram has no extreme value
        {"max_ns": np.array([9, 0, 2**50], "<u8").tobytes()},
        {"min_ns": b"\5\0\7", "max_ns": b"\x09\0\6"},
        {"max_ns": None},
    ],
)
def test_invalid_wire_forms_are_refused(spoilt: dict[str, Any]) -> None:
    assert list(Histograms.from_wires([WIRE], [3])) == ROWS
    with pytest.raises(ValueError, match=r"histogram|field"):
        Histograms.from_wires([{**WIRE, **spoilt}], [3])
