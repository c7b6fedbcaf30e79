"""The HDR files can be read with the package hdrhistogram, which other tools use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

from loadgen.measure.hdr_log import Interval, encode, hgrm, hlog
from loadgen.measure.histogram import TOP_NS, Histogram

PERCENTILES = (1, 25, 50, 90, 99, 99.9, 99.99)


def sample(seed: int, size: int = 20_000) -> Histogram:
    random = np.random.default_rng(seed)
    return Histogram.of((random.lognormal(14, 2, size)).astype(np.int64))


def reader_of(histogram: Histogram) -> HdrHistogram:
    return HdrHistogram.decode(encode(histogram))


def bounds(histogram: Histogram, q: float) -> tuple[int, int]:
    value = histogram.percentile_ns(q)
    assert value is not None
    return int(value * (1 - 1 / 1024)), int(value * (1 + 1 / 1024)) + 1


@pytest.mark.parametrize("seed", [1, 2])
def test_the_encoding_reads_back_to_the_same_counts_and_percentiles(seed: int) -> None:
    ours = sample(seed)
    theirs = reader_of(ours)
    assert theirs.get_total_count() == ours.total
    for q in PERCENTILES:
        low, high = bounds(ours, q)
        assert low <= theirs.get_value_at_percentile(q) <= high


@pytest.mark.parametrize("values", [[0], [2047], [2048, 2049], [0, 0, 0, 10**9], [TOP_NS, 5], list(range(3000))])
def test_unusual_histograms_survive(values: list[int]) -> None:
    ours = Histogram.of(np.array(values, np.int64))
    theirs = reader_of(ours)
    assert theirs.get_total_count() == len(values)
    counted = [item.count_at_value_iterated_to for item in theirs.get_recorded_iterator()]
    assert counted == ours.counts.tolist()


def test_counts_of_every_width_survive() -> None:
    counts = [1, 63, 64, 8191, 8192, 2**31, 2**60]
    ours = Histogram(np.arange(1, 8, dtype=np.int32), np.array(counts, np.int64), max_ns=7, min_ns=1)
    counted = [item.count_at_value_iterated_to for item in reader_of(ours).get_recorded_iterator()]
    assert counted == counts


def test_an_interval_log_adds_up_to_the_whole(tmp_path: Path) -> None:
    parts = [sample(seed, 2000) for seed in range(3)]
    file = tmp_path / "run.hlog"
    file.write_text(
        "".join(hlog((Interval(float(i), 1.0, part) for i, part in enumerate(parts)), start_s=1_700_000_000.0))
    )
    whole = HdrHistogram(1, TOP_NS, 3)
    reader = HistogramLogReader(str(file), whole)
    starts = []
    while (part := reader.get_next_interval_histogram()) is not None:
        starts.append(part.get_start_time_stamp())
        whole.add(part)
    reader.close()
    assert starts == [1_700_000_000_000.0, 1_700_000_001_000.0, 1_700_000_002_000.0]
    ours = Histogram.merge_all(parts)
    assert whole.get_total_count() == ours.total
    low, high = bounds(ours, 99)
    assert low <= whole.get_value_at_percentile(99) <= high


def test_the_percentile_listing_equals_that_of_hdrhistogram() -> None:
    ours = sample(7)
    theirs = reader_of(ours)
    listed = [line.split() for line in hgrm(ours).splitlines() if line[:1] == " " and "Value" not in line]
    for value, level, *_ in listed[1:-1]:
        # The package rounds to the nearest rank; loadgen rounds up to the next rank.
        low, high = (theirs.get_value_at_percentile(100 * (float(level) + d / ours.total)) / 1e6 for d in (-1, 1))
        assert low * 0.998 <= float(value) <= high * 1.002
    assert len(listed) > 50
    assert float(listed[-1][0]) == pytest.approx(ours.max_ns / 1e6)
    assert listed[-1][1:] == ["1.000000000000", str(ours.total)]
    assert any(line.startswith("#[Mean") for line in hgrm(ours).splitlines())


def test_without_values_a_file_is_written() -> None:
    assert "Total count    =            0" in hgrm(Histogram.EMPTY)
    assert reader_of(Histogram.EMPTY).get_total_count() == 0
