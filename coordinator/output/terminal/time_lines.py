"""Where the time of the connections went, in one line; and a line that names dead VMs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from rich.console import RenderableType
from rich.text import Text

from loadgen.verdict.time_shares import TimeShares

_SHOWN = 0.0005
"""Parts below this share would be printed as 0.0 %, and are left out."""

_NAMED = 6


class Row(Protocol):
    """A VM or a target of a result."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def dead(self) -> bool | None:
        """Whether it answered next to nothing; None when not known."""


def time_lines(time: TimeShares | None, rows: Sequence[Row], what: str) -> Iterator[RenderableType]:
    """A line about the time of all connections, and one about the dead among `rows`; none when not known.

    `what` is the word for the rows, in the plural.
    """
    if time is None:
        return
    shares = {
        "service": time.service,
        "pacing": time.pacing,
        "late": time.lateness,
        "rest": time.rest,
        "failed": time.failed,
        "cut": time.unfinished,
        "absent": time.absent,
        "idle": time.idle,
    }
    parts = [f"{name} {share:.1%}" for name, share in shares.items() if share >= _SHOWN]
    yield Text(f"Connection time: {', '.join(parts)}")
    dead = [row.name for row in rows if row.dead]
    if dead:
        more = f", and {len(dead) - _NAMED} more" if len(dead) > _NAMED else ""
        yield Text(f"Dead {what} (next to nothing was answered): {', '.join(dead[:_NAMED])}{more}", "bold red")
