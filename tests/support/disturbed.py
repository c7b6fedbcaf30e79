"""Runs on a machine that others use, too: loadgen finds that out, calls the run INVALID, and is right."""

from __future__ import annotations

from typing import Any

OTHERS = "other processes"
_FOLLOWS = {OTHERS, "send lateness", "time lost to lateness", "engine runnable", "start skew"}


def disturbed(document: dict[str, Any]) -> bool:
    """Whether nothing is wrong with a run but that others used its cores, and what follows from that."""
    failed = {check["name"] for check in document["trust"]["checks"] if not check["ok"]}
    return OTHERS in failed and failed <= _FOLLOWS


def ending(document: dict[str, Any], code: int, verdict: str) -> tuple[int, str]:
    """The exit code and the verdict that a run must have: these, unless it was disturbed."""
    return (3, "INVALID") if disturbed(document) else (code, verdict)


def score(document: dict[str, Any], conforming: int) -> int | None:
    """The conforming connections that a run or a point must have: a disturbed one has no score."""
    return None if disturbed(document) else conforming


def headline(document: dict[str, Any], score: str) -> str:
    """What its report says of the servers: the score, unless the run was disturbed."""
    return "INVALID" if disturbed(document) else score
