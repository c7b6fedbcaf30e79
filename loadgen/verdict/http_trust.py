"""May the numbers of a `loadgen http` run be believed?  Checks that only it needs; the others are those of trust."""

from __future__ import annotations

from collections.abc import Sequence

from loadgen.measure.cells import Cell
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.verdict.result import Check, Trust
from loadgen.verdict.rules import RULES, Asked, Rules
from loadgen.verdict.trust import (
    NeighbourEvidence,
    PortEvidence,
    StartEvidence,
    WorkerEvidence,
    check_cpu,
    check_files,
    check_issued,
    check_local_limits,
    check_neighbours,
    check_ports,
    check_starts,
    check_still,
)

_BUSY = 0.25  # above it, half of all operations or more may have waited for the server


def judge_http_trust(
    workers: Sequence[WorkerEvidence],
    ports: Sequence[PortEvidence],
    whole: Cell,
    window: Cell,
    asked: Asked,
    *,
    measured_ns: int,
    open_loop: bool,
    neighbours: Sequence[NeighbourEvidence] = (),
    starts: Sequence[StartEvidence] = (),
    rules: Rules = RULES,
) -> Trust:
    """Every check of the generator.  `window` is what was due in the measured window, `whole` in the whole run.

    In a closed loop an operation is due when the one before it is over: what a busy client adds to each shows as CPU,
    and only long waits for it count as lateness.
    """
    checks = [check_issued(workers), *check_cpu(workers, rules), check_still(workers, rules)]
    checks += check_open_lateness(window, asked.connections, measured_ns, rules) if open_loop else []
    checks += [] if open_loop else check_closed_loop(window, asked.connections, measured_ns, rules)
    checks.append(check_local_limits(whole))
    if neighbours:
        checks.append(check_neighbours(neighbours, rules))
    if ports:
        checks.append(check_ports(ports, asked))
    if starts:
        checks.append(check_starts(starts, rules))
    return Trust(checks=(*checks, *check_files(workers, rules)))


def check_open_lateness(window: Cell, connections: int, measured_ns: int, rules: Rules) -> list[Check]:
    """Lateness of operations that cannot have waited for a connection; nothing when all of them may have.

    The connections were busy for a share of their time, and no more than that share of the time can all of them
    have been.  What came due then, and as much again while the backlog was played off, waited for the server.
    The others waited for us.
    """
    sent = window.lateness.total
    if not sent or not measured_ns:
        return []
    busy = window.service.sum_ns() / (connections * measured_ns)
    if busy > _BUSY:
        return []
    hiccup = 100 * (1 - (rules.late_operations - 1) / sent)  # so few are the machine's, and nobody's fault
    q = min(99.0, 100 * (1 - 2 * busy), max(hiccup, 0.0))
    value_ns = window.lateness.percentile_ns(q) or 0
    return [
        Check(
            name="send lateness",
            value=value_ns / NS_PER_MS,
            limit=rules.max_open_lateness_ns / NS_PER_MS,
            ok=value_ns <= rules.max_open_lateness_ns,
            unit="ms",
            detail=f"percentile {q:.4g} of {sent} operations; connections were busy {100 * busy:.2g} % of the time",
        )
    ]


def check_closed_loop(window: Cell, connections: int, measured_ns: int, rules: Rules) -> list[Check]:
    """How long connections waited for the client, and Little's law."""
    if not measured_ns:
        return []
    return [
        _check_waits(window, connections, measured_ns, rules),
        *check_little(window, connections, measured_ns, rules),
    ]


def _check_waits(window: Cell, connections: int, measured_ns: int, rules: Rules) -> Check:
    """Connections' time between one operation and the next, where that was so long that the client cannot have run."""
    still_ns = rules.max_open_lateness_ns
    share = window.lateness.sum_ns(still_ns) / (connections * measured_ns)
    return Check.at_most(
        "time lost to lateness",
        share,
        rules.max_still_share,
        detail=f"of the connections' time, in waits of over {still_ns / NS_PER_MS:g} ms for the client",
    )


def check_little(window: Cell, connections: int, measured_ns: int, rules: Rules) -> list[Check]:
    """Little's law: a closed loop without think time has connections = rate x mean response.

    What was cut at the end, and what was under way when the window opened, is missing: on average half a response
    time of each connection at both ends, and up to the longest one when a server stands still for all of them at
    once.  Errors have a rest behind them, so with any it is not asked.
    """
    mean_ns = window.response.mean_ns
    if window.bad or mean_ns is None:
        return []
    found = window.response.sum_ns() / measured_ns
    gap = abs(1 - found / connections)
    limit = rules.max_little_gap + window.response.max_ns / measured_ns
    rate = window.ok * NS_PER_S / measured_ns
    return [
        Check.at_most(
            "Little's law",
            gap,
            limit,
            detail=f"{rate:.4g}/s x {mean_ns / NS_PER_MS:.4g} ms are {found:.4g} of {connections} connections",
        )
    ]
