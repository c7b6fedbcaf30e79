"""Expected results of runs on a machine that others use, too: loadgen calls a disturbed run INVALID."""

from __future__ import annotations

import re
from typing import Any

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


def disturbed(document: dict[str, Any]) -> bool:
    """Whether the only problem of a run is that other processes used its cores, and the consequences of that."""
    failed = {check["name"] for check in document["trust"]["checks"] if not check["ok"]}
    return OTHERS in failed and failed <= _FOLLOWS


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
