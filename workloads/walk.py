"""Sessions that follow a Markov chain, and think times: dealt from decks.  Pure.

A walk that is drawn freely strays from the intended shares much further than independent draws do.  So each state has a
deck of the states that follow it, which is shuffled and dealt to its end before it is shuffled again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from workloads.deal import deal_quantiles

Following = Mapping[int, Mapping[int, int]]
"""By state: the states that follow, and how often each of them does among the same number of times."""

_STRATA = 10


def shares_of(following: Following) -> tuple[float, ...]:
    """The share of each state in a long walk; the states are 0, 1, 2, ..."""
    size = len(following)
    follows = np.zeros((size, size))
    for state, row in following.items():
        follows[state, list(row)] = np.array(list(row.values())) / sum(row.values())
    # the shares stay the same after a step, and add up to 1
    balance = np.vstack([follows.T - np.eye(size), np.ones(size)])
    shares = np.linalg.lstsq(balance, np.array([0.0] * size + [1.0]), rcond=None)[0]
    return tuple(shares.tolist())


def deal_walk(
    following: Following, entry: int, least: int, rng: np.random.Generator, *, ends: Callable[[int, int], bool]
) -> NDArray[np.int64]:
    """At least `least` states from `entry` on; the walk stops where `ends` (a state, the one after it) is true."""
    decks = {state: [after for after, count in row.items() for _ in range(count)] for state, row in following.items()}
    left: dict[int, list[int]] = {state: [] for state in decks}
    states, state = [entry], entry
    while True:
        if not left[state]:
            left[state] = [decks[state][at] for at in rng.permutation(len(decks[state]))]
        after = left[state].pop()
        if len(states) >= least and ends(state, after):
            return np.array(states, np.int64)
        state = after
        states.append(state)


def deal_thinks_s(count: int, rng: np.random.Generator, *, mean_s: int, most_s: int, step_s: int) -> NDArray[np.int64]:
    """So many think times: geometric, at least one step: the exponential distribution in whole steps of that mean."""
    steps = np.ceil(np.log1p(-deal_quantiles(count, _STRATA, rng)) / np.log1p(-step_s / mean_s))
    found: NDArray[np.int64] = np.clip(steps, 1, most_s // step_s).astype(np.int64) * step_s
    return found
