"""Random choices that are dealt from shuffled decks, instead of being drawn independently, and random distributions.

So the shares of a short run are close to the intended ones.  Pure; all random numbers come from the generator that is
passed in.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from loadgen.verdict.sessions import Sessions

KEEP_ALIVE_REQUESTS = (5, 15)
"""The range of the number of requests on a persistent TCP connection: uniform, both ends included, mean 10."""

_LENGTHS = range(KEEP_ALIVE_REQUESTS[0], KEEP_ALIVE_REQUESTS[1] + 1)
SESSION_DECK = (330, *(7 for _ in _LENGTHS))
"""TCP connections of 1, 5, 6, ..., 15 requests.

77 persistent ones carry 770 requests, 330 others one each: 70 % of 1100 requests, 18.9 % of 407 TCP
connections, 2.70 requests per TCP connection.
"""
SESSION_LENGTHS = (1, *_LENGTHS)

SESSIONS = Sessions(tuple(n for n, count in zip(SESSION_LENGTHS, SESSION_DECK, strict=True) for _ in range(count)))
"""Those of the deck: 407 TCP connections for 1100 requests, 0.37 for each."""


def zipf(count: int, alpha: float = 1.0) -> NDArray[np.float64]:
    """Zipf probabilities of the ranks 0..count-1: proportional to 1 / (rank + 1)^alpha."""
    weights = 1.0 / np.arange(1, count + 1) ** alpha
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def deal(deck: Sequence[int], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The first `count` cards of shuffled decks, in each of which card *i* occurs `deck[i]` times.

    Only the last deck may be incomplete.
    """
    cards = np.repeat(np.arange(len(deck)), deck)
    decks = -(-count // len(cards))
    return np.asarray(rng.permuted(np.tile(cards, (decks, 1)), axis=1).reshape(-1)[:count], dtype=np.int64)


def deal_quantiles(count: int, strata: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Numbers of 0..1, uniform: each sequence of `strata` numbers has one of every interval of that many equal ones."""
    found: NDArray[np.float64] = (deal((1,) * strata, count, rng) + rng.random(count)) / strata
    return found


def deal_sessions(count: int, rng: np.random.Generator) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Deal `count` consecutive requests to TCP connections: (is on a persistent one, is the last on its connection).

    The last request always ends its connection, so that the sequence can be played in a circle.
    """
    decks = 1 + count // int(np.dot(SESSION_DECK, SESSION_LENGTHS))
    lengths = np.array(SESSION_LENGTHS)[deal(SESSION_DECK, decks * sum(SESSION_DECK), rng)]
    keep_alive = np.repeat(lengths > 1, lengths)[:count]
    ends = np.cumsum(lengths)
    last = np.zeros(count, dtype=np.bool_)
    last[ends[ends <= count] - 1] = True
    last[-1] = True
    return keep_alive, last
