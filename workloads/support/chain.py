"""The sequence of pages, downloads and think times, dealt from decks.  Pure.

A walk that is drawn freely strays from the intended shares much further than independent draws do.  So each state has a
deck of the states that follow it, which is shuffled and dealt to its end before it is shuffled again.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workloads.deal import deal_quantiles, zipf
from workloads.support import facts

_STRATA = 10


def _solved() -> tuple[float, ...]:
    size = len(facts.KINDS)
    follows = np.zeros((size, size))
    for state, row in facts.NEXT.items():
        follows[state, list(row)] = np.array(list(row.values())) / sum(row.values())
    # the shares stay the same after a step, and add up to 1
    balance = np.vstack([follows.T - np.eye(size), np.ones(size)])
    shares = np.linalg.lstsq(balance, np.array([0.0] * size + [1.0]), rcond=None)[0]
    return tuple(shares.tolist())


SHARES = _solved()
"""The share of each state in a long walk."""


def deal_states(least: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The states of whole sessions, at least `least` of them; the first is HOME, the last is DOWNLOAD."""
    decks = {state: [after for after, count in row.items() for _ in range(count)] for state, row in facts.NEXT.items()}
    left: dict[int, list[int]] = {state: [] for state in decks}
    states, state = [facts.HOME], facts.HOME
    while len(states) < least or state != facts.DOWNLOAD:
        if not left[state]:
            left[state] = [decks[state][at] for at in rng.permutation(len(decks[state]))]
        state = left[state].pop()
        states.append(state)
    return np.array(states, np.int64)


def deal_thinks_ms(states: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """The think time after each request, in ms: none at the end of a session, and after a few others."""
    thinks = np.zeros(len(states), np.int64)
    within = np.flatnonzero(states != facts.DOWNLOAD)
    without = max(0, len(within) - round(facts.THINK_SHARE * len(states)))
    chosen = np.sort(rng.permutation(within)[without:])
    # Geometric, at least one step: the exponential distribution in whole steps that has this mean.
    ends = np.log1p(-facts.THINK_STEP_S / facts.THINK_MEAN_S)
    steps = np.ceil(np.log1p(-deal_quantiles(len(chosen), _STRATA, rng)) / ends)
    thinks[chosen] = np.clip(steps, 1, facts.THINK_MAX_S // facts.THINK_STEP_S) * (1000 * facts.THINK_STEP_S)
    return thinks


def file_shares() -> NDArray[np.float64]:
    """The share of each file of a directory among the downloads, in the order of :data:`downloads.SIZES`."""
    shares = np.array([share * part for share, _, _, parts in facts.DOWNLOAD_CLASSES for part in parts])
    return np.asarray(shares / shares.sum(), dtype=np.float64)


def deal_files(count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The file of each of `count` downloads; each sequence of ten takes one from every tenth of the distribution."""
    edges = np.cumsum(file_shares())
    found = np.searchsorted(edges, deal_quantiles(count, _STRATA, rng), side="right")
    return np.minimum(found, len(edges) - 1)


def draw_directories(count: int, directories: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The directory of each of `count` downloads: Zipf, directory 0 the most popular."""
    edges = np.cumsum(zipf(directories, facts.DIRECTORY_ALPHA))
    return np.minimum(np.searchsorted(edges, rng.random(count), side="right"), directories - 1)
