"""The mix of operations: the shares of SPECweb99, and the decks from which operations are dealt.

Operations are dealt from shuffled decks, as the client of SPECweb99 does, instead of being drawn independently: so the
mix of a short run is close to the intended one.  Pure; all random numbers come from the generator that is passed in.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workloads.deal import deal, deal_quantiles, zipf

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

CONNECTS_PER_S = 1.21
"""TCP connections per second of a connection (a user) on a line of 400 kbit/s, which makes 3.28 operations."""

_STRATA = 10  # so few that each VM of a short run gets its share of large files


def file_shares() -> NDArray[np.float64]:
    """The probability of each file number 0..8 within its class."""
    shares = np.empty(FILES)
    shares[list(FILE_POPULARITY)] = zipf(FILES)
    return shares


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
        quantiles = deal_quantiles(len(at), _STRATA, rng)
        files[at] = np.minimum(np.searchsorted(edges, quantiles, side="right"), FILES - 1)
    return files


def draw_directories(count: int, directories: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The directory of each of `count` operations: Zipf(1), directory 0 the most popular."""
    edges = np.cumsum(zipf(directories))
    return np.minimum(np.searchsorted(edges, rng.random(count), side="right"), directories - 1)
