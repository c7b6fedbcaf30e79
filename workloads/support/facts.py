"""The numbers of the support workload of SPECweb2005, and those that are ours.

SPEC's kit is commercial and was not used.  The numbers come from the configurations that two test harnesses publish:
the workload files of Sun's Faban (`SPECweb_Support.xsl`) and of Kanopya (`Test.config.tt`).  What these do not give is
ours, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HOME, SEARCH, CATALOG, PRODUCT, FILE_CATALOG, FILE, DOWNLOAD = range(7)
KINDS = ("home", "search", "catalog", "product", "file catalog", "file", "download")
"""The kinds of requests: the states of the Markov chain (Faban)."""

NEXT: Mapping[int, Mapping[int, int]] = {
    HOME: {SEARCH: 5, CATALOG: 15},
    SEARCH: {PRODUCT: 10, SEARCH: 10},
    CATALOG: {PRODUCT: 15, SEARCH: 5},
    PRODUCT: {FILE_CATALOG: 16, CATALOG: 4},
    FILE_CATALOG: {FILE: 12, PRODUCT: 8},
    FILE: {DOWNLOAD: 10, FILE_CATALOG: 4, PRODUCT: 1, CATALOG: 1, SEARCH: 2, HOME: 2},
    DOWNLOAD: {HOME: 20},
}
"""What follows each state, of 20 times (Faban).  After a download, a new session begins."""

THINK_MEAN_S, THINK_MAX_S, THINK_STEP_S = 5, 75, 1
"""THINK_TIME, THINK_MAX and THINK_INTERVAL (Faban): exponential, at most the maximum, in whole steps."""
THINK_SHARE = 0.9208
"""The share of the requests that a think time separates from the request before (Faban).

None precedes the first request of a session.  That leaves 1.2 % of the others without one, and these are ours.
"""

LINE_BYTES_PER_S = 100_000
"""The line of a connection (DATA_RATE of CABLE: Faban, Kanopya)."""
GOOD_NS, TOLERABLE_NS = 3_000_000_000, 5_000_000_000
"""TIME_GOOD and TIME_TOLERABLE of a page (Faban)."""
GOOD_SHARE, TOLERABLE_SHARE = 0.95, 0.99
"""The shares of the requests that must be good, and at least tolerable (Faban)."""
GOOD_RATE, TOLERABLE_RATE = 0.99, 0.95
"""The rate of a good, and of a tolerable download, as shares of the line: 99,000 and 95,000 B/s (Faban)."""

DOWNLOAD_CLASSES = (
    (0.1366, 104_858, 104_858, (0.273, 0.091, 0.165, 0.186, 0.285)),
    (0.1261, 629_146, 125_829, (0.579, 0.178, 0.243)),
    (0.2840, 1_048_576, 492_831, (0.275, 0.170, 0.170, 0.385)),
    (0.2232, 4_194_304, 1_352_663, (0.667, 0.333)),
    (0.1250, 9_992_929, 0, (1.0,)),
    (0.1051, 37_748_736, 0, (1.0,)),
)
"""The files of a download directory, by class: (share of the class, first size, step, share of each file) (Faban)."""
DIRECTORIES_PER_SESSION = 0.25
"""DIRSCALING (Faban)."""
DIRECTORY_ALPHA = 1.2
"""The popularity of directories is Zipf with this exponent (Faban)."""

PAGE_BYTES = (24_576, 12_288, 32_768, 20_480, 16_384, 8_192)
"""The size of the content of each page, by kind.  Ours: no source gives those of support.

They lie in the range of the pages of SPECweb2005's banking workload, which are padded to 4 to 46 KB (Faban).
"""
PAGES = 1_000
"""The pages of each kind, each with a content of its own.  Ours."""

DEFAULTS: Mapping[str, Any] = {
    "bound": {
        "kind": "time",
        "good_ns": GOOD_NS,
        "tolerable_ns": TOLERABLE_NS,
        "good_share": GOOD_SHARE,
        "tolerable_share": TOLERABLE_SHARE,
    },
    "line_bps": 8 * LINE_BYTES_PER_S,
    "paced_reads": True,
}
"""The fields of a SpecPlan that have other defaults with this workload.

Replies are read at line speed: a download of up to 38 MB at once would be another load than one of six minutes.
"""
