"""Judges how evenly the VMs of a run served, over VMs and over time, and whether its clients differ.  Pure.

What differs is named only if it is beyond chance and matters.  Chance is known from the spread between the connections
of the same VM, engine and iteration.  Decision 0058 has the reasons.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from loadgen.measure.censored import Times
from loadgen.measure.histogram import Histogram
from loadgen.model.units import NS_PER_MS
from loadgen.verdict.fair_result import (
    ALARM,
    FAIR,
    UNFAIR,
    UNKNOWN,
    Clients,
    Differing,
    Fairness,
    Starved,
    VmShare,
    WorstTime,
)
from loadgen.verdict.span import Span
from loadgen.verdict.strata import Differences, differences
from loadgen.verdict.student import one_sided

_MATTERS = 0.01
"""A difference of at most one percent is never named."""

_LASTING = 1 / 3
"""A VM differs in an iteration if its difference there is at least this part of that over all iterations."""

_STARVED = 0.5
"""A VM is starved below this part of the mean VM's bits per connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """A row for each connection and iteration, as arrays of equal length.

    `iteration`: 0, 1 and so on, without gaps.  `vm`, `client`: their numbers.  `asked`: whether the connection had any
    operation, and not only a rest.  `size`: bytes of ok and cut operations, and `busy_ns` their time, as in
    TALLY_DTYPE; both are 0 for a connection without any of these.  `usable_ns`: the time that the VM could have used,
    which is `busy_ns` and what was lost in failures, rests and absence: not the time in which a user thought.
    """

    iteration: NDArray[np.int64]
    vm: NDArray[np.int64]
    client: NDArray[np.int64]
    asked: NDArray[np.bool_]
    size: NDArray[np.int64]
    busy_ns: NDArray[np.int64]
    usable_ns: NDArray[np.int64]

    def of(self, iteration: int) -> Rows:
        """The rows of one iteration."""
        mine = self.iteration == iteration
        return Rows(
            iteration=self.iteration[mine],
            vm=self.vm[mine],
            client=self.client[mine],
            asked=self.asked[mine],
            size=self.size[mine],
            busy_ns=self.busy_ns[mine],
            usable_ns=self.usable_ns[mine],
        )


def judge_fairness(
    rows: Rows,
    vms: Sequence[str],
    clients: Sequence[str],
    iterations: Sequence[int],
    response: Mapping[int, Times] | None = None,
) -> Fairness | None:
    """The fairness of a run; None with fewer than two VMs, or when no VM served anything.

    `vms` and `clients`: their names.  `iterations`: the indexes of the iterations in the run, by number in `rows`.
    `response`: the response times of each VM over these iterations, by number.
    """
    used = _asked(rows, len(vms))
    if used.sum() < 2 or not rows.size.any():
        return None
    whole = _vms_of(rows, len(vms))
    each = [_vms_of(rows.of(number), len(vms)) for number in range(len(iterations))]
    # A VM without any time in operations served nothing.
    rates = np.where(used & ~whole.used, 0.0, whole.rate)[used]
    lasting, passing = _differing(whole, each, vms, iterations)
    starved = _starved(rows, vms, iterations)
    far = _farthest(whole)
    verdict = UNFAIR if lasting or starved else FAIR if far is not None else UNKNOWN
    return Fairness(
        jain=float(rates.sum() ** 2 / (len(rates) * (rates**2).sum())),
        jain_by_chance=None if far is None else 1 / (1 + far**2),
        slowest_over_fastest=float(rates.min() / rates.max()),
        slowest_over_fastest_by_chance=None if far is None else max(0.0, 1 - far) / (1 + far),
        verdict=verdict,
        slowest=vms[int(np.flatnonzero(used)[rates.argmin()])],
        iterations=len(iterations),
        differing=lasting,
        passing=passing,
        starved=starved,
        worst_p99=_worst_time(response or {}, vms),
        explained=whole.explained,
        clients=_clients(rows, len(vms), clients, iterations),
        vms=_shares(whole, each, rows, vms),
    )


def _asked(rows: Rows, vms: int) -> NDArray[np.bool_]:
    """Whether each VM was asked for anything: the users of a VM may all think for a whole window."""
    asked: NDArray[np.bool_] = np.bincount(rows.vm, rows.asked, vms) > 0
    return asked


def _vms_of(rows: Rows, vms: int) -> Differences:
    """How the VMs differ between connections of the same client in the same iteration."""
    return _compare(rows, rows.vm, rows.client, vms)


def _compare(rows: Rows, group: NDArray[np.int64], other: NDArray[np.int64], groups: int) -> Differences:
    stratum = rows.iteration * (int(other.max(initial=0)) + 1) + other
    return differences(group, stratum, rows.size.astype(np.float64), rows.busy_ns.astype(np.float64), groups)


def _differing(
    whole: Differences, each: Sequence[Differences], names: Sequence[str], iterations: Sequence[int]
) -> tuple[tuple[Differing, ...], tuple[Differing, ...]]:
    """The groups that differ in all iterations, and those that differ in some of them only; the farthest come first.

    The alarm is shared by the run and its iterations, so that chance has one chance in all.
    """
    parts = 2 if len(each) > 1 else 1
    beyond = whole.shares() - 1
    by_iteration = np.array([one.shares() - 1 for one in each])
    found: list[Differing] = []
    for at in np.flatnonzero(_is_beyond(beyond, whole.chance(ALARM / parts))).tolist():
        there = by_iteration[:, at]
        same = np.isnan(there) | (there * np.sign(beyond[at]) >= _LASTING * abs(beyond[at]))
        if same.all():
            found.append(_named(at, beyond, whole.chance(ALARM / parts), names, iterations))
    lasting = {one.name for one in found}
    passing: dict[str, list[Differing]] = {}
    for number, one in enumerate(each if parts > 1 else ()):
        chance = one.chance(ALARM / parts / len(each))
        for at in np.flatnonzero(_is_beyond(by_iteration[number], chance)).tolist():
            if names[at] not in lasting:
                named = _named(at, by_iteration[number], chance, names, [iterations[number]])
                passing.setdefault(names[at], []).append(named)
    return _by_distance(found), _by_distance([_joined(some) for some in passing.values()])


def _is_beyond(beyond: NDArray[np.float64], chance: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.nan_to_num(np.abs(beyond)) > np.maximum(chance, _MATTERS)


def _named(
    at: int, beyond: NDArray[np.float64], chance: NDArray[np.float64], names: Sequence[str], iterations: Sequence[int]
) -> Differing:
    return Differing(
        name=names[at], share=1 + float(beyond[at]), chance=float(chance[at]), iterations=tuple(iterations)
    )


def _joined(some: Sequence[Differing]) -> Differing:
    """One entry for all iterations in which a VM differs, with the values of that in which it differs most."""
    worst = max(some, key=lambda one: abs(one.share - 1))
    return replace(worst, iterations=tuple(one.iterations[0] for one in some))


def _by_distance(found: Sequence[Differing]) -> tuple[Differing, ...]:
    return tuple(sorted(found, key=lambda one: -abs(one.share - 1)))


def _farthest(found: Differences) -> float | None:
    """By how much the share of any group may differ from 1 by chance; None when this is not known for each of them."""
    chance = found.chance(ALARM)[found.used]
    far = float(chance.max(initial=0.0)) if len(chance) > 1 else math.inf
    return far if math.isfinite(far) else None


def _received(rows: Rows, vms: int) -> tuple[NDArray[np.float64], NDArray[np.int64], float]:
    """The bytes per connection of each VM, its connections, and the mean of the former over VMs with connections."""
    number = np.bincount(rows.vm, minlength=vms)
    each = np.bincount(rows.vm, rows.size, vms) / np.maximum(number, 1)
    return each, number, float(each.sum()) / max(int(np.count_nonzero(number)), 1)


def _starved(rows: Rows, vms: Sequence[str], iterations: Sequence[int]) -> tuple[Starved, ...]:
    """The VMs that received less than half of their share in an iteration, and less than chance explains.

    Chance is known from the spread of the bytes between connections of the same VM in the same iteration.  Users who
    think, or play short operations, receive less from an equal VM: so the same must hold per time that it could use.
    """
    parts = [(some, *_received(some, len(vms))) for some in (rows.of(number) for number in range(len(iterations)))]
    cells = sum(int(np.count_nonzero(number)) for _, _, number, _ in parts)
    freedom = len(rows.vm) - cells
    squares = sum(float(((some.size - each[some.vm]) ** 2).sum()) for some, each, _, _ in parts)
    far = one_sided(ALARM / cells, freedom) * math.sqrt(squares / freedom) if freedom else math.inf
    low: dict[int, list[tuple[float, int]]] = {}
    for at, (some, each, number, mean) in zip(iterations, parts, strict=True):
        short = (each < _STARVED * mean) & (mean - each > far / np.sqrt(np.maximum(number, 1)))
        short &= _is_slow(some, len(vms))
        for vm in np.flatnonzero(_asked(some, len(vms)) & (mean > 0) & (short | (each == 0))).tolist():
            low.setdefault(vm, []).append((float(each[vm]) / mean, at))
    found = [
        Starved(name=vms[vm], received=min(some)[0], iterations=tuple(at for _, at in some)) for vm, some in low.items()
    ]
    return tuple(sorted(found, key=lambda one: one.received))


def _is_slow(rows: Rows, vms: int) -> NDArray[np.bool_]:
    """Whether each VM sent less than half of the mean VM's bytes per time that it could have used."""
    usable = np.bincount(rows.vm, rows.usable_ns, vms)
    rate = np.bincount(rows.vm, rows.size, vms) / np.maximum(usable, 1.0)
    slow: NDArray[np.bool_] = rate < _STARVED * rate.sum() / max(int(np.count_nonzero(usable)), 1)
    return slow


def _worst_time(response: Mapping[int, Times], vms: Sequence[str]) -> WorstTime | None:
    spans = {number: found for number, times in response.items() if (found := Span.of(times.percentile(99)))}
    if len(spans) < 2:
        return None
    worst = max(spans, key=lambda number: (spans[number].low, spans[number].high or math.inf))
    everyone = Histogram.merge_all([times.lowest() for times in response.values()])
    beyond = _share_beyond(response[worst].total, ALARM / len(spans))
    by_chance = everyone.percentile_ns(100 * (1 - beyond)) or 0
    return WorstTime(name=vms[worst], p99_ms=spans[worst], by_chance_ms=by_chance / NS_PER_MS)


def _share_beyond(number: int, alarm: float) -> float:
    """The share of all operations beyond a time that the p99 of `number` drawn ones exceeds with a chance of `alarm`.

    The percentile exceeds the time if more than 1 % of the operations do.  Their number is Poisson's, whose quantile is
    one of chi-square (Wilson and Hilferty, 1931).
    """
    least = number // 100 + 1
    freedom = 2 * least
    root = 1 - 2 / (9 * freedom) + NormalDist().inv_cdf(alarm) * math.sqrt(2 / (9 * freedom))
    return freedom * max(0.0, root) ** 3 / 2 / max(number, 1)


def _clients(rows: Rows, vms: int, clients: Sequence[str], iterations: Sequence[int]) -> Clients | None:
    """How the clients differ between connections to the same VM in the same iteration; None with only one."""

    def compared(some: Rows) -> Differences:
        return _compare(some, some.client, some.vm, len(clients))

    if len(np.unique(rows.client[rows.busy_ns > 0])) < 2:
        return None
    whole = compared(rows)
    each = [compared(rows.of(number)) for number in range(len(iterations))]
    lasting, passing = _differing(whole, each, clients, iterations)
    rates, far = whole.rate[whole.used], _farthest(whole)
    return Clients(
        slowest_over_fastest=float(rates.min() / max(float(rates.max()), 1e-300)),
        slowest_over_fastest_by_chance=None if far is None else max(0.0, 1 - far) / (1 + far),
        differing=(*lasting, *passing),
        explained=whole.explained,
    )


def _shares(whole: Differences, each: Sequence[Differences], rows: Rows, vms: Sequence[str]) -> tuple[VmShare, ...]:
    shares, by_iteration = whole.shares(), [one.shares() for one in each]
    received, number, mean = _received(rows, len(vms))
    return tuple(
        VmShare(
            name=vms[at],
            share=_or_none(shares[at]),
            received=float(received[at]) / mean,
            by_iteration=tuple(_or_none(one[at]) for one in by_iteration),
        )
        for at in np.flatnonzero(number).tolist()
    )


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
