"""Why more was asked than was done: what the measurement says of the limit, in one sentence.

Only what was measured is claimed.  That the replies (the servers, or the network to them) were the limit is said only
when the load generator passed its checks and had little part in the times.  How long a request takes at a lower load is
not known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loadgen.measure.cells import Cell
from loadgen.measure.censored import Times
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.verdict.checks.tape.canary import CANARY
from loadgen.verdict.checks.tape.engine_cpu import ENGINE_CPU, ENGINE_RUNNABLE
from loadgen.verdict.result import Trust
from loadgen.verdict.slo import Slo, SloCheck
from loadgen.verdict.time_shares import TimeShares

_LEFT = 0.01
"""From this share of shed requests on, or of waiting ones behind connections that are all busy, too much was asked."""

_QUEUE = 0.05
"""From this share of requests that wait at the end on, too much was asked, even if connections were free before."""

_TURNS = 2
"""A queue of at most so many requests for each connection may be chance."""

_BUSY = 0.95
"""From this share of their time in requests on, connections are called all busy."""

_OWN = 0.25
"""The client may add up to this share of the mean service time; with more, the service time is not the servers'."""

_IDLE_CPU = 0.5
"""Without a canary, an engine that ran for less of its time has no long queue of its own."""

_LOST = 0.1
"""From this share of connection time in failed requests and the rests after them on, they are told."""

_MOST = 0.8
"""A time that is at least this part of the response time explains it."""

_NAMED = 3


@dataclass(frozen=True, slots=True)
class Asking:
    """What was asked of one target, and what became of it: its operations, its connections, and where their time went.

    `due`: the operations that were due in the window.  `cell`: these, and those that were under way during all of it.
    """

    name: str
    due: int
    cell: Cell
    connections: int
    time: TimeShares | None


@dataclass(frozen=True, slots=True)
class OfRun:
    """What is the same for all targets of a run: `slots` is the word, in the plural, for what plays one request at a
    time."""

    measured_s: float
    open_loop: bool
    slots: str = "connections"


def say_limit(asked: Sequence[Asking], run: OfRun, slos: Sequence[SloCheck], trust: Trust) -> str:
    """The sentence on the limit of a run; "" when there was none, or nothing is known of it.

    No word on the servers when the load generator failed its checks.
    """
    missed = [slo for slo in slos if not slo.ok]
    if not run.measured_s:
        return ""
    if not trust.valid:
        return _own(asked, run, trust)
    if not run.open_loop:
        return _closed(asked, run, trust) if any(_is_slow(one) or one.name == "rate" for one in missed) else ""
    short = [one for one in asked if _is_short(one)]
    if short:
        return _short(short, asked, run, trust)
    slow = next(filter(_is_slow, missed), None)
    return _slow(asked, slow, trust) if slow is not None else ""


def _own(asked: Sequence[Asking], run: OfRun, trust: Trust) -> str:
    """The sentence on an open loop that did less than was asked, and whose load generator failed its checks."""
    if not run.open_loop or not any(map(_is_short, asked)):
        return ""
    rates = _rates(asked, run)
    if any(not check.ok and check.name in (ENGINE_CPU, ENGINE_RUNNABLE) for check in trust.checks):
        return f"The client was the limit: {rates}; the servers may do more."
    return f"{rates}: whether the servers or the load generator were the limit is not known."


def _short(short: Sequence[Asking], asked: Sequence[Asking], run: OfRun, trust: Trust) -> str:
    """An open loop in which requests were shed, or still waited for a connection at the end."""
    cell, connections = Cell.merge_all(one.cell for one in short), sum(one.connections for one in short)
    if not _is_clear(cell, trust):
        return ""
    said = f"{_blame(short, asked)}: {_rates(short, run)}; {_queue(cell)}, because no {run.slots[:-1]} was free."
    busy = _share(short, _busy)
    if busy is None:
        return said
    if busy < _BUSY:
        return f"{said} {_all(connections, run)} together {_were(connections)} busy {_percent(busy)} of the time."
    carried = _carried(short, cell, connections, run)
    return f"{said} {_all(connections, run)} {_were(connections)} busy {_percent(busy)} of the time{carried}"


def _closed(asked: Sequence[Asking], run: OfRun, trust: Trust) -> str:
    """A closed loop that missed an objective of speed: its connections waited for replies nearly all the time."""
    cell, connections = Cell.merge_all(one.cell for one in asked), sum(one.connections for one in asked)
    waiting = _share(asked, lambda time: time.service + time.failed + time.unfinished)
    if waiting is None or waiting < _BUSY or not _is_clear(cell, trust):
        return ""
    every = _all(connections, run, "all", "the only")
    return (
        f"{_blame(asked, asked)}: {every} waited for replies {_percent(waiting)} of the time"
        f"{_carried(asked, cell, connections, run)}"
    )


def _slow(asked: Sequence[Asking], slow: SloCheck, trust: Trust) -> str:
    """An open loop without a queue at its end that missed an objective of time: in which part the time was spent."""
    cell = Cell.merge_all(one.cell for one in asked)
    response, service = Times.response_of(cell), Times.service_of(cell)
    q = Slo.percentile_of(slow.name)
    whole, spent = (one.mean() if q is None else one.percentile(q) for one in (response, service))
    waited_ns = cell.lateness.mean_ns if q is None else cell.lateness.percentile_ns(q)
    if whole is None or spent is None or waited_ns is None or not _is_clear(cell, trust):
        return ""
    if spent.low >= _MOST * whole.low and waited_ns <= spent.low:
        return (
            f"{_blame(asked, asked)}: {_place(slow.name)} a request took {_time(spent.low)} from sent to done, "
            f"and waited {_time(waited_ns)} for a free connection."
        )
    if waited_ns >= _MOST * whole.low:
        return (
            f"{_blame(asked, asked)}: no connection was free for some time, since replies were outstanding on all; "
            f"{_place(slow.name)} a request waited {_time(waited_ns)} for one, and took {_time(spent.low)} from "
            "sent to done."
        )
    return ""


def _blame(those: Sequence[Asking], asked: Sequence[Asking]) -> str:
    if len(those) == len(asked):
        who = "the server" if len(asked) == 1 else "the servers"
    else:
        more = f" and {len(those) - _NAMED} more" if len(those) > _NAMED else ""
        who = ", ".join(one.name for one in those[:_NAMED]) + more
    return f"The replies of {who}, not the load generator, were the limit"


def _carried(those: Sequence[Asking], cell: Cell, connections: int, run: OfRun) -> str:
    """Little's law: so many requests fit into connections that are always busy; or what took their time instead."""
    lost = _share(those, lambda time: time.failed + time.rest)
    if lost is not None and lost >= _LOST:
        return f", {_percent(lost)} with requests that failed."
    mean = Times.service_of(cell).mean()
    if mean is None or not mean.low:
        return "."
    most = connections * NS_PER_S / mean.low
    slots = run.slots if connections != 1 else run.slots[:-1]
    carry = "carry" if connections != 1 else "carries"
    return (
        f": a request took {_time(mean.low)} from sent to done (mean), and with that {connections:,} {slots} {carry} "
        f"{_rate(most)}/s at most. With more {run.slots}, the servers may do more."
    )


def _is_short(one: Asking) -> bool:
    """Whether more was asked of a target than was done: requests were shed, or a queue was left at the end."""
    waiting = _waiting(one.cell)
    if one.due and _shed(one.cell) >= _LEFT * one.due:
        return True
    if waiting <= _TURNS * one.connections:
        return False
    return waiting >= _QUEUE * one.due or ((_share([one], _busy) or 0.0) >= _BUSY and waiting >= _LEFT * one.due)


def _rates(those: Sequence[Asking], run: OfRun) -> str:
    due, done = sum(one.due for one in those), sum(one.cell.ok for one in those)
    return f"{_rate(due / run.measured_s)} requests/s were due and {_rate(done / run.measured_s)}/s completed"


def _queue(cell: Cell) -> str:
    shed, waiting = _shed(cell), _waiting(cell)
    parts = [f"{shed:,} {_were(shed)} shed"] * bool(shed)
    parts += [f"{waiting:,} still waited at the end"] * bool(waiting)
    return " and ".join(parts)


def _shed(cell: Cell) -> int:
    return int(cell.outcomes[Outcome.SHED])


def _waiting(cell: Cell) -> int:
    """How many operations still waited for a connection when the run ended."""
    return max(0, cell.cut - cell.service_cut.total)


def _busy(time: TimeShares) -> float:
    return 1 - time.idle - time.absent


def _is_clear(cell: Cell, trust: Trust) -> bool:
    """Whether the load generator had little part in the service times."""
    checks = {check.name: check for check in trust.checks}
    canary, mean = checks.get(CANARY), Times.service_of(cell).mean()
    if canary is not None and canary.known:
        return mean is not None and canary.value * NS_PER_MS <= _OWN * mean.low
    cpu = checks.get(ENGINE_CPU)
    return cpu is None or cpu.value <= 100 * _IDLE_CPU


def _is_slow(missed: SloCheck) -> bool:
    """Whether a time is too long; one that is not known, or may only be too long because requests failed, is not."""
    return missed.unit == "ms" and missed.known and missed.value >= missed.limit


def _share(those: Sequence[Asking], part: Callable[[TimeShares], float]) -> float | None:
    """A part of the time of all connections of these targets; None when it is not known."""
    parts = [(one.connections, part(one.time)) for one in those if one.time is not None]
    total = sum(connections for connections, _ in parts)
    if len(parts) < len(those) or not total:
        return None
    return min(1.0, sum(connections * share for connections, share in parts) / total)


def _all(connections: int, run: OfRun, every: str = "All", only: str = "The only") -> str:
    return f"{every} {connections:,} {run.slots}" if connections != 1 else f"{only} {run.slots[:-1]}"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def _place(metric: str) -> str:
    return {"mean": "on average,", "max": "at the maximum,"}.get(metric, f"at {metric},")


def _rate(per_s: float) -> str:
    return f"{per_s:,.0f}" if per_s >= 100 else f"{per_s:.3g}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _time(time_ns: float) -> str:
    return f"{time_ns / NS_PER_S:,.3g} s" if NS_PER_S <= time_ns < 1000 * NS_PER_S else f"{_ms(time_ns)} ms"


def _ms(time_ns: float) -> str:
    ms = time_ns / NS_PER_MS
    return f"{ms:,.0f}" if ms >= 100 else f"{ms:.3g}" if ms >= 1 else f"{ms:.2f}" if ms >= 0.005 else "less than 0.01"
