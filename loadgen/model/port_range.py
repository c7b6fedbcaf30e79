"""A range of TCP ports, such as a firewall lets through.

>>> parse_ports("15000-15100")
PortRange(first=15000, last=15100)
>>> str(parse_ports("15000"))
'15000'
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from loadgen.model.errors import PlanError

_RANGE = re.compile(r"([0-9]{1,5})(?:\s*[-:]\s*([0-9]{1,5}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class PortRange:
    """The ports from `first` to `last`, both included.  Raises PlanError if there is none."""

    first: int
    last: int

    def __post_init__(self) -> None:
        if not 1 <= self.first <= self.last <= 65535:
            raise PlanError(
                f"{self.first}-{self.last} is not a range of ports from 1 to 65535",
                hint="write the smaller port first, like 15000-15100",
            )

    def __str__(self) -> str:
        return f"{self.first}-{self.last}" if self.last > self.first else str(self.first)

    @property
    def numbers(self) -> range:
        """All ports of the range."""
        return range(self.first, self.last + 1)


def parse_ports(text: str) -> PortRange:
    """The ports in FIRST-LAST, or one port.  Raises PlanError."""
    if not (found := _RANGE.fullmatch(text.strip())):
        raise PlanError(f"{text!r} is not a range of ports", hint="example: 15000-15100")
    return PortRange(int(found[1]), int(found[2] or found[1]))
