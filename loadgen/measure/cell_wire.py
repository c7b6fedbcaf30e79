"""Reads those parts of the wire form of a CellTable that differ between versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadgen.measure.histograms import Histograms
from loadgen.measure.wire import read_field, read_int, unpack_all

_FIRST_COUNTERS = 5  # the wire form of version 0.1.0 had five, and no field for their number


def read_shape(wire: object) -> tuple[int, int]:
    """The numbers of kinds and groups in a wire form.  Raises ValueError if they are malformed."""
    return read_int(wire, "kinds", low=1, high=255), read_int(wire, "groups", low=1, high=255)


def read_sums(wires: Sequence[object], sizes: Sequence[int], counters: int) -> NDArray[Any]:
    """The column `sums` of several wire forms, of shape (cells, `counters`).

    `sizes` are the numbers of cells in the wire forms.  Counters that a wire form does not have are 0.
    Raises ValueError if a wire form is malformed.
    """
    given = [
        read_int(wire, "counters", low=_FIRST_COUNTERS, high=counters) if _has(wire, "counters") else _FIRST_COUNTERS
        for wire in wires
    ]
    if all(count == counters for count in given):
        return unpack_all(wires, "sums", [size * counters for size in sizes]).reshape(-1, counters)
    sums = np.zeros((sum(sizes), counters), np.int64)
    end = 0
    for wire, size, count in zip(wires, sizes, given, strict=True):
        sums[end : end + size, :count] = unpack_all([wire], "sums", [size * count]).reshape(-1, count)
        end += size
    return sums


def read_some(wires: Sequence[object], name: str, rows: Sequence[int]) -> Histograms:
    """The histograms in field `name` of several wire forms; empty where a wire form has none, as in earlier versions.

    `rows` are the numbers of histograms in the wire forms.  Raises ValueError if a wire form is malformed.
    """
    has = [_has(wire, name) for wire in wires]
    if not any(has):
        return Histograms.nothing(sum(rows))
    forms = [
        read_field(wire, name) if some else Histograms.nothing(size).to_wire()
        for wire, some, size in zip(wires, has, rows, strict=True)
    ]
    return Histograms.from_wires(forms, rows)


def _has(wire: object, name: str) -> bool:
    return isinstance(wire, Mapping) and name in wire
