"""What is asked, how often: the shares of SPECweb99 and the decks that they are dealt from.

Dealing from shuffled decks instead of drawing freely is what keeps the mix of a short run close to
the intended one, as the original's client did.  Pure; every draw comes from the generator passed in.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

GROUPS = ("static", "get", "cad", "post", "cgi")
"""Operation types: static GET, standard dynamic GET, GET with custom ad rotation, POST, GET through CGI."""
STATIC, GET, CAD, POST, CGI = range(len(GROUPS))

KINDS = ("class0", "class1", "class2", "class3")
"""File classes: each ten times as large as the one before."""

OP_DECK = (1400, 249, 252, 96, 3)
"""Of 2000 operations: 70 / 12.45 / 12.60 / 4.80 / 0.15 % (30 % dynamic: 16 % POST, 42 % CAD, 0.5 % CGI of them)."""
OP_SHARES = tuple(count / sum(OP_DECK) for count in OP_DECK)

CLASS_DECK = (35, 50, 14, 1)
"""Of 100 operations, whatever their type."""
CLASS_SHARES = tuple(count / sum(CLASS_DECK) for count in CLASS_DECK)

FILES = 9
"""Files of a class in a directory."""
FILE_POPULARITY = (4, 3, 5, 2, 6, 1, 7, 8, 0)
"""The files of a class, most popular first; popularity is Zipf(1)."""

KEEP_ALIVE_REQUESTS = (5, 15)
"""Requests on a persistent TCP connection: uniform between these, both included; 10 on average."""

_LENGTHS = range(KEEP_ALIVE_REQUESTS[0], KEEP_ALIVE_REQUESTS[1] + 1)
SESSION_DECK = (330, *(7 for _ in _LENGTHS))
"""TCP connections of 1, 5, 6, ..., 15 requests.

77 persistent ones carry 770 requests, 330 others one each: 70 % of 1100 requests, 18.9 % of 407 TCP
connections, 2.70 requests per TCP connection.
"""
SESSION_LENGTHS = (1, *_LENGTHS)

CONNECTS_PER_S = 1.21
"""TCP connections that a connection (a user) on a line of 400 kbit/s opens a second: for 3.28 operations."""

_STRATA = 10  # a hand of files: small enough that each VM of a short run gets its fair share of large ones


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
    """`count` cards from shuffled decks in which card *i* is `deck[i]` times.

    Every whole deck has exactly its cards; the last one may be cut short.
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

    Within a class, each run of ten operations takes one file from every tenth of the distribution
    (by size), in random order: one file of class 3 is worth a thousand of class 0, so free draws
    would make VMs differ by several per cent in work without any fault of theirs.
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
    """How `count` requests in a row share TCP connections: (on a persistent one, last on its connection).

    The last of all requests always ends its connection, so that the row can be played in a circle.
    """
    decks = 1 + count // int(np.dot(SESSION_DECK, SESSION_LENGTHS))
    lengths = np.array(SESSION_LENGTHS)[deal(SESSION_DECK, decks * sum(SESSION_DECK), rng)]
    keep_alive = np.repeat(lengths > 1, lengths)[:count]
    ends = np.cumsum(lengths)
    last = np.zeros(count, dtype=np.bool_)
    last[ends[ends <= count] - 1] = True
    last[-1] = True
    return keep_alive, last
