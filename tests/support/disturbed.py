"""Expected results of runs on a machine that others use, too: loadgen calls a disturbed run INVALID."""

from __future__ import annotations

import re
from typing import Any

from tests.support.standstill import WATCH

OTHERS = "other processes"
_FOLLOWS = {
    OTHERS,
    "send lateness",
    "time lost to lateness",
    "rate lost to lateness",
    "canary",
    "client's share",
    "engine runnable",
    "start skew",
}
_STOOD_STILL = "engine stood still"


def disturbed(document: dict[str, Any]) -> bool:
    """Whether the only problem of a run is that this machine was busy elsewhere, and the consequences of that.

    Either other processes used its cores, or it stood still for a moment, as a virtual machine does whose core is taken
    away; this test's own process noticed that.
    """
    failed = {check["name"] for check in document["trust"]["checks"] if not check["ok"]}
    if OTHERS in failed:
        return failed <= _FOLLOWS | {_STOOD_STILL}
    return bool(failed) and failed <= _FOLLOWS | {_STOOD_STILL} and WATCH.stood_still(document)


def ending(document: dict[str, Any], code: int, verdict: str) -> tuple[int, str]:
    """Return the exit code and the verdict that a run must have: the given ones, unless it was disturbed."""
    return (3, "INVALID") if disturbed(document) else (code, verdict)


def score(document: dict[str, Any], conforming: int) -> int | None:
    """The conforming connections that a run or a point must have: a disturbed one has no score."""
    return None if disturbed(document) else conforming


def headline(document: dict[str, Any], score: str) -> str:
    """Return the headline that the report must have: the score, unless the run was disturbed."""
    return "INVALID" if disturbed(document) else score


def says_disturbed(out: str) -> bool:
    """Whether the report `out` of a tape run names other processes as a reason of its verdict."""
    return re.search(r"Load generator: other\s+processes", out) is not None


def network_code(out: str, code: int) -> int:
    """Return the exit code that the report `out` of a network run must have: `code`, unless the run was disturbed."""
    return 3 if re.search(r"Measurement: other\s+processes", out) else code
