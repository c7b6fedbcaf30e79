"""The numbers of the banking workload of SPECweb2005, and those that are ours.

SPEC's kit is commercial and was not used.  The numbers come from the configurations that two test harnesses publish:
the workload files of Sun's Faban (`SPECweb_Banking.xsl`) and of Kanopya (`Test.config.tt`).  What these do not give is
ours, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

KINDS = (
    "login",
    "account summary",
    "check detail",
    "bill pay",
    "add payee",
    "payee info",
    "quick pay",
    "bill pay status",
    "profile",
    "post profile",
    "order checks",
    "post order",
    "transfer",
    "post transfer",
    "logout",
    "check image",
)
"""The kinds of pages (Faban).  Each is one state of the Markov chain, but a check image is two: front and back."""

LOGIN, LOGOUT, FRONT, BACK = 0, 14, 15, 16
STATES = 17
KIND_OF = (*range(BACK), FRONT)
"""The kind of each state."""

NEXT: Mapping[int, Mapping[int, int]] = {
    LOGIN: {1: 8, 3: 8, 12: 2, LOGOUT: 2},
    1: {2: 14, 10: 2, 8: 2, LOGOUT: 2},
    2: {FRONT: 25},
    3: {4: 2, 6: 12, 7: 4, LOGOUT: 2},
    4: {5: 18, LOGOUT: 2},
    5: {3: 18, LOGOUT: 2},
    6: {3: 18, LOGOUT: 2},
    7: {3: 18, LOGOUT: 2},
    8: {9: 18, LOGOUT: 2},
    9: {1: 18, LOGOUT: 2},
    10: {11: 18, LOGOUT: 2},
    11: {1: 18, LOGOUT: 2},
    12: {13: 18, LOGOUT: 2},
    13: {1: 18, LOGOUT: 2},
    LOGOUT: {},
    FRONT: {BACK: 25},
    BACK: {1: 18, LOGOUT: 2},
}
"""What follows each state, of 25 times (Faban).  In the other cases the session ends, and the next one logs in."""
TIMES = 25

THINK_MEAN_S, THINK_MAX_S, THINK_STEP_S = 10, 150, 2
"""THINK_TIME, THINK_MAX and THINK_INTERVAL (Faban): exponential, at most the maximum, in whole steps.

None comes before a login or a check image: so 61.58 % of the requests have one, as Faban says.
"""

PARALLEL_CONNECTIONS = 2
"""PARALLEL_CONNS: a page, then its images over so many TCP connections (Faban)."""
LINE_BYTES_PER_S = 100_000
"""The line of each TCP connection (DATA_RATE of CABLE: Faban, Kanopya)."""
GOOD_NS, TOLERABLE_NS = 2_000_000_000, 4_000_000_000
"""TIME_GOOD and TIME_TOLERABLE of a page with its images (Faban)."""
GOOD_SHARE, TOLERABLE_SHARE = 0.95, 0.99
"""The shares of the pages that must be good, and at least tolerable (Faban)."""
USERS_PER_SESSION = 50
"""The user ids that the pages are made for, per simultaneous session (Faban)."""

PAGE_BYTES = (
    *(4_096, 17_408, 11_264, 15_360, 18_432, 34_816, 25_600, 24_576),
    *(47_104, 29_696, 21_504, 23_552, 13_312, 16_384, 46_080, 11_264),
)
"""The size of the content of each page, by kind.  Ours, in the published range: 4 to 46 KB (Faban)."""
IMAGES_OF = (7, 17, 9, 15, 18, 12, 16, 16, 19, 16, 17, 14, 15, 15, 10, 0)
"""The number of images of each page, by kind.  Ours, in the published range: 7 to 19; a check image has none."""
IMAGE_BYTES = (
    *(43, 96, 210, 369, 512, 734, 985, 1_263, 1_588, 1_930),
    *(2_344, 2_821, 3_402, 4_175, 5_260, 7_018, 9_876, 15_204, 37_384),
)
"""The size of each image.  Ours, in the published range: 43 B to 37 KB (Faban)."""

DEFAULTS: Mapping[str, Any] = {
    "bound": {
        "kind": "time",
        "good_ns": GOOD_NS,
        "tolerable_ns": TOLERABLE_NS,
        "good_share": GOOD_SHARE,
        "tolerable_share": TOLERABLE_SHARE,
    },
    "line_bps": 8 * LINE_BYTES_PER_S * PARALLEL_CONNECTIONS,
    "paced_reads": True,
}
"""The fields of a SpecPlan that have other defaults with this workload.

The line is that of a user, and each TCP connection has an equal part of it.  Replies are read at its speed, so that the
time of a page has the time of its bytes.
"""
