"""What the canaries say about the load generator, in one line of a report."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from coordinator.output.terminal import format as fmt
from loadgen.verdict.canary import CanaryRow, Estimate


def canary_lines(rows: Sequence[CanaryRow]) -> list[Text]:
    """What the client adds to response times, of the worst engine and window; nothing without canaries."""
    if not rows:
        return []
    known = [(row.added_ms.p50.value, row) for row in rows if row.added_ms.p50 is not None]
    if not known:
        return [Text("Canary: unknown; what the client adds to response times was not measured.")]
    _, worst = max(known, key=lambda one: one[0])
    whose = f" (engine {worst.engine}, the worst of {len(known)})" if len(known) > 1 else ""
    p50, p99, truth = _ms(worst.added_ms.p50), _ms(worst.added_ms.p99), fmt.millis(worst.truth_ms.p50)
    return [Text(f"Canary: the client adds {p50} at the median (to {truth} ms), {p99} at p99{whose}.")]


def _ms(found: Estimate | None) -> str:
    return f"{fmt.millis(found.value if found else None)} ms"
