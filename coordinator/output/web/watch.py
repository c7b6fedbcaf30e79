"""Where a running command is to be seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a command reads its options before it imports anything that takes time
    from coordinator.output.web.listening import Address


@dataclass(frozen=True, slots=True)
class Watch:
    """`web` is the address of the live page, `metrics` that of the metrics; None for none.

    `otlp` is the URL to which metrics are sent; "" for none.
    """

    web: Address | None = None
    metrics: Address | None = None
    otlp: str = ""

    @property
    def serves(self) -> bool:
        """Whether anything is served from this machine."""
        return self.web is not None or self.metrics is not None

    @property
    def given(self) -> dict[str, Address | str]:
        """What was given, by the name of its option."""
        every = {"web": self.web, "metrics": self.metrics, "otlp": self.otlp}
        return {name: where for name, where in every.items() if where}
