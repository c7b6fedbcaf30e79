"""Which engine has the highest share?  Shared by the checks that judge the worst engine."""

from __future__ import annotations

from collections.abc import Mapping


def worst_of(shares: Mapping[str, float]) -> tuple[str, float]:
    """The engine with the highest share, and that share; ("", 0.0) when `shares` is empty."""
    worker = max(shares, key=shares.__getitem__, default="")
    return worker, shares.get(worker, 0.0)
