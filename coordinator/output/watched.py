"""A command that plays runs, at one moment: what the pages and the metrics of a running command are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """The present run of a command, and the verdicts of the runs before it.

    `kind` is the kind of the present run; "" before the first one.  `view` is the newest value of its live view
    (RunView, HttpView, Progress, ...), None while there is none.  `ended` counts finished runs by verdict.
    """

    kind: str = ""
    view: Any = None
    ended: Mapping[str, int] = field(default_factory=dict)
