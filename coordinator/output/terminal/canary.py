"""What the canaries say about the load generator, in one line of a report."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from coordinator.output.terminal import format as fmt
from loadgen.verdict.canary import CanaryRow, Estimate


def canary_lines(rows: Sequence[CanaryRow]) -> list[Text]:
    """What the client adds to response times, each percentile in its worst engine and window; [] without canaries."""
    if not rows:
        return []
    known = [row for row in rows if row.added_ms.p50 is not None]
    if not known:
        return [Text("Canary: unknown; what the client adds to response times was not measured.")]
    p50 = max(known, key=lambda row: _value(row.added_ms.p50))
    p99 = max(known, key=lambda row: _value(row.added_ms.p99))
    median, tail, truth = _ms(p50.added_ms.p50), _ms(p99.added_ms.p99), fmt.millis(p50.truth_ms.p50)
    whose = f" ({_say_worst(known)})" if len(known) > 1 else ""
    return [Text(f"Canary: the client adds {median} at the median (to {truth} ms), {tail} at p99{whose}.")]


def _say_worst(rows: Sequence[CanaryRow]) -> str:
    """Of how many engines, and of how many windows, the worst is told."""
    engines, windows = (len({getattr(row, name) for row in rows}) for name in ("engine", "window"))
    parts = [f"{engines} engines"] * (engines > 1) + [f"{windows} windows"] * (windows > 1)
    return f"the worst of {' and '.join(parts)}"


def _value(found: Estimate | None) -> float:
    return found.value if found else 0.0


def _ms(found: Estimate | None) -> str:
    return f"{fmt.millis(found.value if found else None)} ms"
