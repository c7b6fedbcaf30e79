"""The sequence of pages, downloads and think times, dealt from decks.  Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workloads import walk
from workloads.deal import deal_quantiles, zipf
from workloads.support import facts

_STRATA = 10

SHARES = walk.shares_of(facts.NEXT)
"""The share of each state in a long walk."""


def deal_states(least: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The states of whole sessions, at least `least` of them; the first is HOME, the last is DOWNLOAD."""
    return walk.deal_walk(facts.NEXT, facts.HOME, least, rng, ends=lambda state, after: state == facts.DOWNLOAD)


def deal_thinks_ms(states: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """The think time after each request, in ms: none at the end of a session, and after a few others."""
    thinks = np.zeros(len(states), np.int64)
    within = np.flatnonzero(states != facts.DOWNLOAD)
    without = max(0, len(within) - round(facts.THINK_SHARE * len(states)))
    chosen = np.sort(rng.permutation(within)[without:])
    mean_s, most_s, step_s = facts.THINK_MEAN_S, facts.THINK_MAX_S, facts.THINK_STEP_S
    thinks[chosen] = 1000 * walk.deal_thinks_s(len(chosen), rng, mean_s=mean_s, most_s=most_s, step_s=step_s)
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
