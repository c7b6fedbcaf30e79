"""How reports and live views write a time that may be known by its bounds only (loadgen.verdict.span)."""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.output.terminal import format as fmt
from loadgen.verdict.span import Span

_MS_PER_S = 1000
_CLOSE = 1.05  # ends of an interval within this ratio are written as one number, the high one


@dataclass(frozen=True, slots=True)
class Words:
    """How times are written: `5.00`; an interval as `5.00-7.00` or, without an upper bound, as `≥ 5.00`."""

    ascii_only: bool

    def at_least(self, text: str) -> str:
        """The text of a lower bound."""
        return f"{self._mark} {text}"

    def millis(self, value: Span | float | None) -> str:
        """Milliseconds, or an interval of milliseconds."""
        if not isinstance(value, Span):
            return fmt.millis(value)
        low = fmt.millis(value.low)
        if value.high is None:
            return self.at_least(low)
        high = fmt.millis(value.high)
        return high if value.high <= _CLOSE * value.low else f"{low}-{high}"

    def short(self, value: Span | float | None) -> str:
        """For a crowded table: an interval is written as a lower bound, without a space."""
        text = self.millis(value)
        if not isinstance(value, Span) or text == fmt.millis(value.high):
            return text
        return f"{self._mark}{fmt.millis(value.low)}"

    def seconds(self, value: Span) -> str:
        """For a sentence: seconds from one second on."""
        if value.high is not None or value.low < _MS_PER_S:
            return f"{self.millis(value)} ms"
        return self.at_least(f"{value.low / _MS_PER_S:.3g} s")

    @property
    def _mark(self) -> str:
        return ">=" if self.ascii_only else "≥"


def live_millis(span: Span | None) -> str:
    """The low end of an interval for a live screen; `>` marks one without an upper bound."""
    if span is None:
        return fmt.NOTHING
    return _mark(span) + fmt.millis(span.low)


def live_number(span: Span | None) -> str:
    """The low end of an interval with one decimal, for a plain line; `>` marks one without an upper bound."""
    return fmt.NOTHING if span is None else f"{_mark(span)}{span.low:.1f}"


def _mark(span: Span) -> str:
    return "" if span.high is not None else ">"
