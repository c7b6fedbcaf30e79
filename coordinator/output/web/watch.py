"""Where a running command is to be seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a command reads its options before it imports anything that takes time
    from coordinator.output.web.listening import Address


@dataclass(frozen=True, slots=True)
class Watch:
    """`web` is the address of the live page, `metrics` that of the metrics; None for none."""

    web: Address | None = None
    metrics: Address | None = None

    @property
    def given(self) -> dict[str, Address]:
        """The addresses that were given, by the name of their option."""
        both = {"web": self.web, "metrics": self.metrics}
        return {name: address for name, address in both.items() if address is not None}
