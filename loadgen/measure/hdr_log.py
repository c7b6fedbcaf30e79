"""Histograms in the file formats of HdrHistogram: `.hgrm` (percentile listing) and `.hlog` (interval log, V2).

Our buckets are the same as HdrHistogram's with a unit of 1 ns and three significant digits, in the same order, so the
counts are written without conversion.  Times in the text of the files are in ms; encoded times are in ns, which the
tools divide by a million by default.
"""

from __future__ import annotations

import base64
import math
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadgen.measure.histogram import TOP_NS, Histogram, highest_of, lowest_of
from loadgen.model.units import NS_PER_MS

_COOKIE, _COMPRESSED_COOKIE = 0x1C849313, 0x1C849314  # V2, counts as variable-length words
_HEADER = struct.Struct(">iiiiqqd")  # cookie, length, index offset, digits, lowest, highest, ratio
_DIGITS = 3
_TICKS_PER_HALF = 5  # lines of the percentile listing for each halving of the rest
_BUCKETS, _SUB_BUCKETS = 32, 2048


def hgrm(histogram: Histogram) -> str:
    """The percentile distribution of `histogram`, in ms, up to its maximum."""
    lines = ["       Value     Percentile TotalCount 1/(1-Percentile)", ""]
    cumulated = np.cumsum(histogram.counts)
    total = histogram.total
    for level in _levels(total):
        rank = max(1, math.ceil(round(level / 100 * total, 6)))
        at = int(np.searchsorted(cumulated, rank))
        last = at == len(cumulated) - 1
        value_ms = (histogram.max_ns if last else int(_highest(histogram, at))) / NS_PER_MS
        count = int(cumulated[at])
        if level >= 100:
            lines.append(f"{value_ms:12.6f} {1.0:2.12f} {count:10d}")
        else:
            lines.append(f"{value_ms:12.6f} {level / 100:2.12f} {count:10d} {1 / (1 - level / 100):14.2f}")
    mean_ms, deviation_ms = _moments_ms(histogram)
    lines += [
        f"#[Mean    = {mean_ms:12.6f}, StdDeviation   = {deviation_ms:12.6f}]",
        f"#[Max     = {histogram.max_ns / NS_PER_MS:12.6f}, Total count    = {total:12d}]",
        f"#[Buckets = {_BUCKETS:12d}, SubBuckets     = {_SUB_BUCKETS:12d}]",
    ]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class Interval:
    """The times of one interval: it began `start_s` after the start of the log and took `length_s`.

    `tag` tells intervals of several sources in one log apart; it must not contain a comma or a space.
    """

    start_s: float
    length_s: float
    times: Histogram
    tag: str = ""


def hlog(intervals: Iterable[Interval], *, start_s: float) -> Iterator[str]:
    """The lines of an interval log that starts at `start_s`, in seconds since the epoch."""
    yield "#[Histogram log format version 1.3]\n"
    yield f"#[StartTime: {start_s:.3f} (seconds since epoch)]\n"
    yield '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"\n'
    for one in intervals:
        tag = f"Tag={one.tag}," if one.tag else ""
        maximum_ms = one.times.max_ns / NS_PER_MS
        yield f"{tag}{one.start_s:.3f},{one.length_s:.3f},{maximum_ms:.6f},{encode(one.times)}\n"


def encode(histogram: Histogram) -> str:
    """The compressed V2 encoding of a histogram, in base 64."""
    payload = b"".join(_zigzag(word) for word in _words(histogram))
    plain = _HEADER.pack(_COOKIE, len(payload), 0, _DIGITS, 1, TOP_NS, 1.0) + payload
    packed = zlib.compress(plain)
    return base64.b64encode(struct.pack(">ii", _COMPRESSED_COOKIE, len(packed)) + packed).decode("ascii")


def _words(histogram: Histogram) -> Iterator[int]:
    """Counts in the order of the buckets; a run of empty buckets is written as minus its length."""
    following = 0
    for bucket, count in zip(histogram.indexes.tolist(), histogram.counts.tolist(), strict=True):
        if bucket > following:
            yield following - bucket
        yield count
        following = bucket + 1


def _zigzag(word: int) -> bytes:
    """ZigZag LEB128 of 64 bits as HdrHistogram writes it: the ninth byte carries eight bits."""
    value = (word << 1) ^ (word >> 63)
    parts = bytearray()
    while value >= 0x80 and len(parts) < 8:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _levels(total: int) -> Iterator[float]:
    """Percentiles that approach 100 by halves of the rest, and 100 itself; none without values."""
    if not total:
        return
    level = 0.0
    while (100 - level) / 100 * total > 0.5:
        yield level
        halvings = math.floor(math.log2(100 / (100 - level))) + 1
        level += 100 / (_TICKS_PER_HALF * 2**halvings)
    yield 100.0


def _highest(histogram: Histogram, at: int) -> int:
    bucket: NDArray[np.int64] = histogram.indexes[at : at + 1].astype(np.int64)
    return int(highest_of(bucket)[0])


def _moments_ms(histogram: Histogram) -> tuple[float, float]:
    """Mean and standard deviation in ms, from the middles of the buckets; 0 and 0 without any value."""
    if not len(histogram.counts):
        return 0.0, 0.0
    buckets = histogram.indexes.astype(np.int64)
    middles = (lowest_of(buckets) + highest_of(buckets)) / 2 / NS_PER_MS
    mean = float(np.average(middles, weights=histogram.counts))
    variance = float(np.average((middles - mean) ** 2, weights=histogram.counts))
    return mean, math.sqrt(variance)
