"""Sets of expected HTTP statuses, as people write them: `200`, `200,204`, `3xx`, `200-299`."""

from __future__ import annotations

import re

from loadgen.model.errors import PlanError

LOWEST, HIGHEST = 200, 599
"""The statuses that can be expected: those of a final reply."""

_PART = re.compile(r"([0-9]{3})(?:-([0-9]{3}))?|([2-5])xx", re.IGNORECASE)


def parse_statuses(text: str) -> frozenset[int]:
    """The statuses of a text like `200,204,3xx`.  Raises PlanError, in one line."""
    found: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part.strip())
        if match is None:
            raise PlanError(f"{text!r} is not a list of statuses", hint="write it like 200, 200,204, 3xx or 200-299")
        first, last, hundred = match.groups()
        low, high = (int(hundred) * 100, int(hundred) * 100 + 99) if hundred else (int(first), int(last or first))
        if not LOWEST <= low <= high <= HIGHEST:
            raise PlanError(f"the expected statuses must be {LOWEST} to {HIGHEST} and ascending, got {part.strip()!r}")
        found.update(range(low, high + 1))
    return frozenset(found)
