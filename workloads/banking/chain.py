"""The sequence of pages and think times, dealt from decks.  Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workloads import walk
from workloads.banking import facts

_FOLLOWING = {
    state: {**row, **({facts.LOGIN: rest} if (rest := facts.TIMES - sum(row.values())) else {})}
    for state, row in facts.NEXT.items()
}

STATE_SHARES = walk.shares_of(_FOLLOWING)
"""The share of each state in a long walk."""

SHARES: tuple[float, ...] = tuple(np.bincount(facts.KIND_OF, weights=STATE_SHARES).tolist())
"""The share of each kind."""


def deal_states(least: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The states of whole sessions, at least `least` of them; the first is LOGIN."""
    return walk.deal_walk(_FOLLOWING, facts.LOGIN, least, rng, ends=lambda state, after: after == facts.LOGIN)


def deal_thinks_ms(states: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """The think time after each page, in ms: none before the login of the next session, and before a check image."""
    thinks = np.zeros(len(states), np.int64)
    chosen = np.flatnonzero(~np.isin(np.roll(states, -1), (facts.LOGIN, facts.FRONT, facts.BACK)))
    mean_s, most_s, step_s = facts.THINK_MEAN_S, facts.THINK_MAX_S, facts.THINK_STEP_S
    thinks[chosen] = 1000 * walk.deal_thinks_s(len(chosen), rng, mean_s=mean_s, most_s=most_s, step_s=step_s)
    return thinks


def draw_users(states: NDArray[np.int64], users: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The user id of each page, the same for a whole session."""
    session = np.cumsum(states == facts.LOGIN) - 1
    found: NDArray[np.int64] = rng.integers(users, size=int(session[-1]) + 1)[session]
    return found
