from __future__ import annotations

import pytest

from coordinator.output.terminal import format as fmt
from coordinator.output.terminal.intervals import Words, live_millis, live_number
from loadgen.verdict.span import Span


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0"),
        (0.001, "<0.01"),
        (0.02, "0.02"),
        (2 / 3, "0.67"),
        (0.996, "1.0"),
        (1.5, "1.5"),
        (12_345.6, "12,346"),
    ],
)
def test_no_rate_above_zero_is_printed_as_zero_or_one(value: float, text: str) -> None:
    assert fmt.rate(value) == text


@pytest.mark.parametrize(
    ("span", "table", "short", "live", "plain"),
    [
        (None, "-", "-", "-", "-"),
        (Span(4.1, 4.1), "4.10", "4.10", "4.10", "4.1"),
        (Span(4.1, 4.2), "4.20", "4.20", "4.10", "4.1"),
        (Span(4.1, 5.3), "4.10-5.30", "≥4.10", "4.10", "4.1"),
        (Span(1960, None), "≥ 1,960", "≥1,960", ">1,960", ">1960.0"),
    ],
)
def test_intervals_are_written_with_their_bounds(
    span: Span | None, table: str, short: str, live: str, plain: str
) -> None:
    words = Words(ascii_only=False)
    assert (words.millis(span), words.short(span), live_millis(span), live_number(span)) == (table, short, live, plain)
    assert Words(ascii_only=True).millis(span) == table.replace("≥", ">=")
