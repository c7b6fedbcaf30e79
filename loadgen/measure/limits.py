"""The limits by which the times of operations are judged, by kind of the tape."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadgen.model.bound import Bound, BoundKind


class CutRule(enum.IntEnum):
    """How an operation that was cut is judged; the compiled fold has the same numbers."""

    NOT = 0  # not at all: nobody knows how long it would have taken
    FIXED = 1  # it has failed if the tolerable time was over
    SO_FAR = 2  # by its rate so far


@dataclass(frozen=True, slots=True)
class Limits:
    """By kind: an operation is good within `good_ns` + `good_ns_per_byte` * bytes, and so on.

    `cut` (uint8): the CutRule.  An operation that is judged by its rate so far may be longer by `spare_good_ns` to be
    good, and by `spare_tolerable_ns` to be tolerable: the fixed times of the load's bound, which forgive a slow start.
    """

    good_ns: NDArray[np.int64]
    good_ns_per_byte: NDArray[np.float64]
    tolerable_ns: NDArray[np.int64]
    tolerable_ns_per_byte: NDArray[np.float64]
    cut: NDArray[np.uint8]
    spare_good_ns: int
    spare_tolerable_ns: int

    @property
    def kinds(self) -> int:
        """The number of kinds for which all limits are known."""
        columns = (self.good_ns, self.good_ns_per_byte, self.tolerable_ns, self.tolerable_ns_per_byte, self.cut)
        return min(len(column) for column in columns)


def limits_of(bound: Bound, own: Sequence[Bound | None], kinds: int) -> Limits:
    """The limits of each kind; `own`: the bounds of single kinds, None or () for `bound`, that of the load."""
    bounds = [one or bound for one in own] or [bound] * kinds
    return Limits(
        good_ns=np.array([one.good_ns for one in bounds], np.int64),
        good_ns_per_byte=np.array([one.good_ns_per_byte for one in bounds], np.float64),
        tolerable_ns=np.array([one.tolerable_ns for one in bounds], np.int64),
        tolerable_ns_per_byte=np.array([one.tolerable_ns_per_byte for one in bounds], np.float64),
        cut=np.array([_cut_rule(bound, one) for one in bounds], np.uint8),
        spare_good_ns=bound.good_ns,
        spare_tolerable_ns=bound.tolerable_ns,
    )


def _cut_rule(bound: Bound, own: Bound) -> CutRule:
    """Under a time bound, each request counts; under a rate bound, the bytes and the time of a cut one count."""
    if bound.kind is BoundKind.RATE:
        return CutRule.NOT
    if own.kind is BoundKind.RATE:
        return CutRule.SO_FAR
    return CutRule.NOT if own.tolerable_ns_per_byte else CutRule.FIXED  # the full size of a cut one is not known
