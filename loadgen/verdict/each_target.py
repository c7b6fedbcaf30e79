"""Checks of an iteration over all VMs and of each VM, so that many good VMs do not hide a bad one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from loadgen.measure.cells import BAD, OK, Cell
from loadgen.verdict.connection import State
from loadgen.verdict.result import Check
from loadgen.verdict.rules import Asked, Rules
from loadgen.verdict.sessions import Sessions


def check_connections(found: NDArray[np.void], asked: Asked, rules: Rules) -> list[Check]:
    """Conforming connections of all VMs and, with several VMs, of the worst VM; and invalid connections.

    `found` (FINDING_DTYPE) has one row per requested connection.
    """
    by_target = _counts(found["state"] == State.CONFORMING, asked)
    requested = _requested(asked)
    checks = [_check_all(found, by_target, requested, asked, rules)]
    if np.count_nonzero(requested) > 1:
        checks.append(_check_worst(by_target, requested, asked, rules))
    return [*checks, _check_invalid(found, asked)]


def _check_all(
    found: NDArray[np.void], by_target: NDArray[np.int64], requested: NDArray[np.int64], asked: Asked, rules: Rules
) -> Check:
    conforming, total = int(by_target.sum()), len(found)
    detail = f"{conforming:,} of {total:,} requested connections conformed"
    causes = [
        f"{count:,} {text}"
        for state, text in (
            (State.SLOW, "too slow"),
            (State.ERRORS, "with too many errors"),
            (State.NO_REQUESTS, "without any request"),
            (State.LOST, "lost with their load machine"),
        )
        if (count := int((found["state"] == state).sum()))
    ]
    if causes:
        worst = int(np.argmin(by_target / np.maximum(requested, 1) + (requested == 0)))
        name = asked.targets[worst].name
        detail += f" ({', '.join(causes)}); worst: {name} with {by_target[worst]} of {requested[worst]}"
    return Check(
        name="conforming connections",
        value=100 * conforming / total,
        limit=100 * rules.min_conforming_share,
        ok=conforming >= rules.min_conforming_share * total,
        unit="%",
        relation=">=",
        detail=detail,
    )


def _check_worst(by_target: NDArray[np.int64], requested: NDArray[np.int64], asked: Asked, rules: Rules) -> Check:
    """Check the VM that is furthest below its required share, which equals that of all VMs together.

    One connection may always miss the bound, because one of fewer than 20 would exceed 5 %; but not the only one.
    """
    needed = np.minimum(np.ceil(rules.min_conforming_share * requested - 1e-9), np.maximum(requested - 1, 1))
    used = np.flatnonzero(requested)
    worst = min(used.tolist(), key=lambda at: (by_target[at] >= needed[at], by_target[at] / requested[at]))
    return Check(
        name="conforming, worst VM",
        value=100 * float(by_target[worst] / requested[worst]),
        limit=100 * float(needed[worst] / requested[worst]),
        ok=bool(by_target[worst] >= needed[worst]),
        unit="%",
        relation=">=",
        detail=f"{asked.targets[worst].name}: {by_target[worst]} of {requested[worst]} connections conformed; "
        f"{np.count_nonzero((by_target < needed) & (requested > 0))} of {len(used)} VMs have too few",
    )


def _check_invalid(found: NDArray[np.void], asked: Asked) -> Check:
    """Connections that are invalid by SPECweb99's rules: too many errors, or no request at all; none is allowed.

    A connection may always have one failure: with fewer than 100 requests, a single one would exceed 1 %.
    """
    failed = (found["state"] == State.ERRORS) & (found["bad"] > 1)
    silent = found["state"] == State.NO_REQUESTS
    number = int((failed | silent).sum())
    detail = "too many errors, or no request at all"
    if number:
        by_target = _counts(failed | silent, asked)
        worst = int(by_target.argmax())
        causes = ((failed, "with too many errors"), (silent, "without any request"))
        said = ", ".join(f"{int(some.sum()):,} {text}" for some, text in causes if some.any())
        detail = f"{said}; most: {asked.targets[worst].name} with {by_target[worst]}"
    return Check(name="invalid connections", value=number, limit=0, ok=number == 0, detail=detail)


def _counts(chosen: NDArray[np.bool_], asked: Asked) -> NDArray[np.int64]:
    """Return the number of chosen connections of each target."""
    return np.bincount(asked.target_of[chosen], minlength=len(asked.targets))


def check_errors(cells: Mapping[str, Cell], whole: Cell, kinds: Sequence[str], rules: Rules) -> Check:
    """The highest error share among all requests, the requests of each kind, and both of these of each VM.

    `cells`: by name of the VM.  `whole`: their sum.  A kind, and a VM, may always have one failure: with fewer than
    100 requests, a single one would exceed 1 %.
    """
    asked = [("all requests", whole.bad, whole.ok + whole.bad, 0), *_by_kind(whole, kinds, "")]
    for name, cell in cells.items():
        asked += [(f"all requests of {name}", cell.bad, cell.ok + cell.bad, 1), *_by_kind(cell, kinds, f" of {name}")]
    limits = [max(rules.max_error_share, spare / n if n else 0.0) for _, _, n, spare in asked]
    shares = [bad / n if n else 0.0 for _, bad, n, _ in asked]
    excess = [share / limit if share > limit else 0.0 for share, limit in zip(shares, limits, strict=True)]
    # With no value above its limit, the share of one VM has little meaning: it may come from a single failure.
    worst = max(range(len(asked)), key=lambda i: (excess[i], shares[i] if i <= len(kinds) else -1.0))
    name, bad, n, _ = asked[worst]
    detail = f"{bad} of {n} failed: {name}"
    if whole.errors:
        detail += "; " + ", ".join(f"{name} {count:,}" for name, count in whole.errors.items())
    return Check(
        name="errors",
        value=100 * shares[worst],
        limit=100 * limits[worst],
        ok=shares[worst] <= limits[worst],
        unit="%",
        detail=detail,
    )


def check_connects(cells: Mapping[str, Cell], whole: Cell, asked: Asked, sessions: Sessions, rules: Rules) -> Check:
    """TCP connections for each operation, of all VMs and of the worst one: too many when a server closes connections.

    `cells`: by name of the VM; `whole`: their sum.  A failed operation ends its connection, so one connection more is
    allowed for each.  The more VMs there are, the further the worst one may be from the intended number by chance.
    """
    slots = dict(zip((target.name for target in asked.targets), _requested(asked).tolist(), strict=True))
    chance = NormalDist().cdf(-rules.mix_deviations) / (len(cells) + 1)
    worst, value, limit = "no operation", 0.0, sessions.per_operation * (1 + rules.mix_tolerance)
    for name, cell, users in (("all VMs", whole, asked.connections), *((n, c, slots[n]) for n, c in cells.items())):
        operations = cell.ok + cell.cut
        if not operations:
            continue
        mine = max(0, cell.connects - cell.bad) / operations
        by_chance = sessions.most(operations, max(1, users), chance) / operations
        mine_limit = by_chance + rules.mix_tolerance * sessions.per_operation
        if mine * limit > value * mine_limit or worst == "no operation":
            value, limit = mine, mine_limit
            intended = f"{sessions.per_operation:g} intended for each"
            worst = f"{name}: {cell.connects:,} connections for {operations:,} operations, {intended}"
    return Check(name="connects per operation", value=value, limit=limit, ok=value <= limit, detail=worst)


def _requested(asked: Asked) -> NDArray[np.int64]:
    return _counts(np.ones(asked.connections, bool), asked)


def _by_kind(cell: Cell, kinds: Sequence[str], of: str) -> list[tuple[str, int, int, int]]:
    """(name, failed, answered, allowed failures) of each kind."""
    by_kind = cell.counts.sum(axis=1)
    return [
        (f"{kind}{of}", int(row[BAD]), int(row[OK] + row[BAD]), 1) for kind, row in zip(kinds, by_kind, strict=True)
    ]
