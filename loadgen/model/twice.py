"""Finds what is given twice, for messages that name it.

>>> twice(["send", "receive", "send"])
'send'
"""

from __future__ import annotations

from collections.abc import Iterable


def twice(names: Iterable[str]) -> str:
    """The first name that is there a second time; "" when there is none."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return ""
