"""What the client's kernel saw of the TCP connections in a window, joined to the connections that do not conform."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from loadgen.measure.histogram import Histogram
from loadgen.measure.tcp_view import PATH_DTYPE, TcpView, is_known
from loadgen.model.units import NS_PER_MS
from loadgen.verdict.connection import State

_US_PER_S = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Blame:
    """What TCP did on the connections that do not conform; those that were lost with their engine are left out.

    `retransmits`: connections with a retransmit of the client.  `out_of_order`: those without one, but with segments
    that came out of order, which is how the client sees that a reply was lost on the way; None when no kernel counts
    them.  `waited`: slow ones with neither, which only waited for the server.  `failed`: those with neither whose
    requests failed, or that had none.
    """

    connections: int
    retransmits: int
    out_of_order: int | None
    waited: int
    failed: int

    @property
    def lost(self) -> int:
        """The connections with a retransmit or a segment out of order."""
        return self.retransmits + (self.out_of_order or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpRow:
    """The TCP connections to one VM, or to all VMs, in a window, at the client's end.

    `looks`: how often TCP connections were looked at, at their ends included; `skipped`: TCP connections that were not
    looked at when they ended, because many ended soon: the other numbers are without theirs.  `retransmits` and
    `segments_sent` are segments that the client sent again, and all that it sent; `out_of_order` and
    `segments_received` are those that came out of order, and all that came.  `lossy`: connections of the load with a
    retransmit or a segment out of order.  `rtt_*_ms` are smoothed round-trip times, over `rtts` samples.
    `busy_s` is the time in which sent data was not acknowledged yet, over all connections; of it, the shares (0..1) in
    which the congestion window, the server's receive window, or the client's send buffer was the limit.  A number that
    the kernel does not tell is None.
    """

    connections: int
    looks: int
    skipped: int
    retransmits: int
    segments_sent: int | None
    out_of_order: int | None
    segments_received: int | None
    lossy: int
    rtts: int
    rtt_min_ms: float | None
    rtt_p50_ms: float | None
    rtt_p99_ms: float | None
    busy_s: float | None
    cwnd_limited: float | None
    rwnd_limited: float | None
    sndbuf_limited: float | None
    not_conforming: Blame | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpResult:
    """`all`: the TCP connections to all targets; `targets`: by target, None for those whose were never seen."""

    all: TcpRow
    targets: tuple[TcpRow | None, ...]


def judge_tcp(
    view: TcpView, window: int, target_of: NDArray[np.int32], targets: int, states: NDArray[np.uint8] | None = None
) -> TcpResult | None:
    """What `view` has of a window; None when no TCP connection was seen, as in records of earlier versions.

    `target_of`: index of the target by connection.  `states`: the State of each connection, where connections are
    judged.
    """
    mine = np.flatnonzero(view.paths["window"] == window)
    if not len(mine):
        return None
    slots = view.slots[view.slots["window"] == window]
    own, disordered = np.zeros(len(target_of), np.bool_), np.zeros(len(target_of), np.bool_)
    own[slots["connection"][slots["retransmits"] > 0]] = True
    disordered[slots["connection"][slots["out_of_order"] > 0]] = True

    def row(rows: Sequence[int], chosen: NDArray[np.bool_]) -> TcpRow:
        paths = view.paths[rows]
        made = _row(paths, Histogram.merge_all(view.rtt[at] for at in rows), chosen, own | disordered)
        if states is None:
            return made
        ordered = bool(paths["ordered"].any())
        return replace(made, not_conforming=_blame(states[chosen], own[chosen], disordered[chosen], ordered=ordered))

    by_target = {int(view.paths["target"][at]): at for at in mine.tolist()}
    return TcpResult(
        all=row(mine.tolist(), np.ones(len(target_of), np.bool_)),
        targets=tuple(row([by_target[at]], target_of == at) if at in by_target else None for at in range(targets)),
    )


def _row(paths: NDArray[np.void], rtt: Histogram, chosen: NDArray[np.bool_], lossy: NDArray[np.bool_]) -> TcpRow:
    sums = {name: int(paths[name].sum()) for name in PATH_DTYPE.names or () if name not in ("window", "target")}
    busy_us, timed = sums["busy_us"], is_known("busy_us", sums)
    limited = {name: sums[f"{name}_limited_us"] for name in ("rwnd", "sndbuf")}
    limited["cwnd"] = max(0, busy_us - sum(limited.values()))
    shares = {name: min(1.0, us / busy_us) if timed and busy_us else None for name, us in limited.items()}

    def known(name: str) -> int | None:
        return sums[name] if is_known(name, sums) else None

    def ms(q: float) -> float | None:
        value = rtt.percentile_ns(q)
        return None if value is None else value / NS_PER_MS

    return TcpRow(
        connections=int(chosen.sum()),
        looks=sums["looks"],
        skipped=sums["skipped"],
        retransmits=sums["retransmits"],
        segments_sent=known("segments_sent"),
        out_of_order=known("out_of_order"),
        segments_received=known("segments_received"),
        lossy=int((lossy & chosen).sum()),
        rtts=rtt.total,
        rtt_min_ms=rtt.min_ns / NS_PER_MS if rtt.total else None,
        rtt_p50_ms=ms(50),
        rtt_p99_ms=ms(99),
        busy_s=busy_us / _US_PER_S if timed else None,
        cwnd_limited=shares["cwnd"],
        rwnd_limited=shares["rwnd"],
        sndbuf_limited=shares["sndbuf"],
    )


def _blame(states: NDArray[np.uint8], own: NDArray[np.bool_], disordered: NDArray[np.bool_], *, ordered: bool) -> Blame:
    bad, slow = (states != State.CONFORMING) & (states != State.LOST), states == State.SLOW
    lost = own | disordered
    return Blame(
        connections=int(bad.sum()),
        retransmits=int((bad & own).sum()),
        out_of_order=int((bad & disordered & ~own).sum()) if ordered else None,
        waited=int((slow & ~lost).sum()),
        failed=int((bad & ~slow & ~lost).sum()),
    )


def without_blame(row: TcpRow | None) -> TcpRow | None:
    """The row without the connections that do not conform, for a run that has no score."""
    return None if row is None else replace(row, not_conforming=None)
