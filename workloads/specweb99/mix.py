"""The mix of operations: the shares of SPECweb99, and the decks from which operations are dealt.

Operations are dealt from shuffled decks, as the client of SPECweb99 does, instead of being drawn independently: so the
mix of a short run is close to the intended one.  Pure; all random numbers come from the generator that is passed in.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from loadgen.verdict.sessions import Sessions

GROUPS = ("static", "get", "cad", "post", "cgi")
"""Operation types: static GET, standard dynamic GET, GET with custom ad rotation, POST, GET through CGI."""
STATIC, GET, CAD, POST, CGI = range(len(GROUPS))

KINDS = ("class0", "class1", "class2", "class3")
"""File classes; the files of each are ten times as large as those of the class before."""

OP_DECK = (1400, 249, 252, 96, 3)
"""Of 2000 operations: 70 / 12.45 / 12.60 / 4.80 / 0.15 % (30 % dynamic: 16 % POST, 42 % CAD, 0.5 % CGI of them)."""
OP_SHARES = tuple(count / sum(OP_DECK) for count in OP_DECK)

CLASS_DECK = (35, 50, 14, 1)
"""Of 100 operations of any type."""
CLASS_SHARES = tuple(count / sum(CLASS_DECK) for count in CLASS_DECK)

FILES = 9
"""The number of files of a class in a directory."""
FILE_POPULARITY = (4, 3, 5, 2, 6, 1, 7, 8, 0)
"""The files of a class, most popular first; popularity is Zipf(1)."""

KEEP_ALIVE_REQUESTS = (5, 15)
"""The range of the number of requests on a persistent TCP connection: uniform, both ends included, mean 10."""

_LENGTHS = range(KEEP_ALIVE_REQUESTS[0], KEEP_ALIVE_REQUESTS[1] + 1)
SESSION_DECK = (330, *(7 for _ in _LENGTHS))
"""TCP connections of 1, 5, 6, ..., 15 requests.

77 persistent ones carry 770 requests, 330 others one each: 70 % of 1100 requests, 18.9 % of 407 TCP
connections, 2.70 requests per TCP connection.
"""
SESSION_LENGTHS = (1, *_LENGTHS)

CONNECTS_PER_S = 1.21
"""TCP connections per second of a connection (a user) on a line of 400 kbit/s, which makes 3.28 operations."""

SESSIONS = Sessions(tuple(n for n, count in zip(SESSION_LENGTHS, SESSION_DECK, strict=True) for _ in range(count)))
"""Those of the deck: 407 TCP connections for 1100 requests, 0.37 for each."""

_STRATA = 10  # so few that each VM of a short run gets its share of large files


def zipf(count: int) -> NDArray[np.float64]:
    """Zipf(1) probabilities of the ranks 0..count-1."""
    weights = 1.0 / np.arange(1, count + 1)
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def file_shares() -> NDArray[np.float64]:
    """The probability of each file number 0..8 within its class."""
    shares = np.empty(FILES)
    shares[list(FILE_POPULARITY)] = zipf(FILES)
    return shares


def deal(deck: Sequence[int], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The first `count` cards of shuffled decks, in each of which card *i* occurs `deck[i]` times.

    Only the last deck may be incomplete.
    """
    cards = np.repeat(np.arange(len(deck)), deck)
    decks = -(-count // len(cards))
    return np.asarray(rng.permuted(np.tile(cards, (decks, 1)), axis=1).reshape(-1)[:count], dtype=np.int64)


def deal_classes(count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The class of each of `count` operations."""
    return deal(CLASS_DECK, count, rng)


def deal_groups(count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The operation type of each of `count` operations."""
    return deal(OP_DECK, count, rng)


def deal_files(classes: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """The file number of each operation, given its class.

    Within a class, each sequence of ten operations takes one file from every tenth of the distribution (by size), in
    random order.  A file of class 3 is a thousand times as large as one of class 0: with independent draws, the work
    of VMs would differ by several per cent by chance.
    """
    edges = np.cumsum(file_shares())
    files = np.empty(len(classes), dtype=np.int64)
    for class_ in range(len(KINDS)):
        at = np.flatnonzero(classes == class_)
        strata = deal((1,) * _STRATA, len(at), rng)
        quantiles = (strata + rng.random(len(at))) / _STRATA
        files[at] = np.minimum(np.searchsorted(edges, quantiles, side="right"), FILES - 1)
    return files


def draw_directories(count: int, directories: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The directory of each of `count` operations: Zipf(1), directory 0 the most popular."""
    edges = np.cumsum(zipf(directories))
    return np.minimum(np.searchsorted(edges, rng.random(count), side="right"), directories - 1)


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
