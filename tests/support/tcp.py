"""Constructed views of TCP connections."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from loadgen.measure.histogram import Histogram
from loadgen.measure.histograms import Histograms
from loadgen.measure.snapshot import Snapshot
from loadgen.measure.tcp_view import PATH_DTYPE, SLOT_DTYPE, TcpView


def tcp_view(
    paths: Mapping[tuple[int, int], Mapping[str, int]],
    slots: Mapping[tuple[int, int], tuple[int, int]],
    rtt_us: Sequence[int] = (),
) -> TcpView:
    """Return a view: sums by (window, target), (retransmits, out of order) by (window, connection).

    `rtt_us` are the samples of the first path.
    """
    sums = np.zeros(len(paths), PATH_DTYPE)
    for at, ((window, target), numbers) in enumerate(sorted(paths.items())):
        sums["window"][at], sums["target"][at] = window, target
        for name, value in numbers.items():
            sums[name][at] = value
    rows = np.array([(*key, *numbers) for key, numbers in sorted(slots.items())], SLOT_DTYPE)
    samples = [Histogram.of(np.array(rtt_us, np.int64) * 1000), *[Histogram.EMPTY] * max(0, len(paths) - 1)]
    return TcpView(rows, sums, Histograms.of(samples[: len(paths)]))


def with_tcp(snapshot: Snapshot, view: TcpView) -> Snapshot:
    """Return the snapshot with this view."""
    return dataclasses.replace(snapshot, tcp=view)
