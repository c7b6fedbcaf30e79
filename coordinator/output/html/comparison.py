"""A comparison of runs as blocks of a page."""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.output.html.blocks import Block, Items, Table, Words
from coordinator.output.html.experiments import compare_blocks
from loadgen.verdict.compare_result import Comparison, Unlike


def comparison_blocks(found: Comparison) -> Iterator[Block]:
    """The verdict with its reasons, the ratios, and what differs besides what was measured."""
    yield Words(f"Comparison: {found.verdict.value.upper()} (exit code {int(found.exit_code)})", "lead")
    if found.reasons:
        yield Items("Reasons", found.reasons)
    if found.notes:
        yield Items("Notes", found.notes)
    yield Table("Groups", ("group", "record", "runs", "runs that count"), tuple(
        (side.name, side.record, f"{side.runs}", f"{side.valid}") for side in found.sides
    ))  # fmt: skip
    yield from compare_blocks(found)
    names = tuple(side.name for side in found.sides)
    yield from _unlike("What differs in the plans", found.plans, names)
    yield from _unlike("What differs in the environments", found.environments, names)


def _unlike(title: str, rows: tuple[Unlike, ...], names: tuple[str, ...]) -> Iterator[Block]:
    if rows:
        yield Table(title, ("field", *names), tuple((row.what, *row.values) for row in rows))
