"""The generated pages, by the name of their file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tools.reference import checks, commands, outcomes, parts, plans

FOLDER: Final = Path(__file__).parents[2] / "docs" / "reference"

PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "commands.md": commands.page,
    "plan-fields.md": plans.page,
    "outcomes.md": outcomes.page,
    "trust-checks.md": checks.page,
    "drivers-workloads.md": parts.page,
}
