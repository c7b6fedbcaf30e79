"""What the client's kernel saw of TCP connections: lines of a report, and a table where there is something to see."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from rich.console import RenderableType
from rich.text import Text

from coordinator.output.terminal import format as fmt
from coordinator.output.terminal.folding import fold, folded_title
from coordinator.output.terminal.parts import add_row, plain_table
from loadgen.verdict.tcp_result import Blame, TcpRow

_LIMITED = 0.005
"""Shares of the busy time below this one are left out."""


class Row(Protocol):
    """A VM or a target of a result."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def tcp(self) -> TcpRow | None:
        """Its TCP connections."""


def tcp_lines(whole: TcpRow | None, rows: Sequence[Row], one: str, many: str) -> Iterator[RenderableType]:
    """The lines on all TCP connections, and the table of `rows`; none when nothing was seen.

    `one` and `many` are the words for the rows.
    """
    if whole is None:
        return
    yield Text(f"TCP (client's end): {', '.join(_sums(whole))}")
    if whole.skipped:
        yield Text(f"  without {fmt.count(whole.skipped)} TCP connections that ended soon and were not looked at")
    if whole.rtts:
        times = "/".join(fmt.millis(value) for value in (whole.rtt_min_ms, whole.rtt_p50_ms, whole.rtt_p99_ms))
        yield Text(f"  round-trip time min/p50/p99 {times} ms")
    if limits := _limits(whole):
        yield Text(f"  sending for {whole.busy_s:.3g} s: {', '.join(limits)}")
    if whole.not_conforming is not None and whole.not_conforming.connections:
        yield Text(say_blame(whole.not_conforming))
    if len(rows) > 1 and any(row.tcp is not None and _matters(row.tcp) for row in rows):
        yield from _table(rows, one, many)


def say_blame(blame: Blame) -> str:
    """What TCP did on the connections that do not conform, in a sentence."""
    had = "retransmits" if blame.out_of_order is None else "retransmits or segments out of order"
    number = f"{fmt.count(blame.lost)} of {fmt.count(blame.connections)}"
    failed = f", {fmt.count(blame.failed)} failed" if blame.failed else ""
    return f"{number} non-conforming connections had {had}; {fmt.count(blame.waited)} only waited{failed}"


def _sums(row: TcpRow) -> Iterator[str]:
    yield f"{_of(row.retransmits, row.segments_sent)} segments resent"
    if row.out_of_order is not None:
        yield f"{_of(row.out_of_order, row.segments_received)} received out of order"


def _of(part: int, whole: int | None) -> str:
    return fmt.count(part) if whole is None else f"{fmt.count(part)} of {fmt.count(whole)}"


def _limits(row: TcpRow) -> list[str]:
    """What limited the sending; nothing where it was the congestion window only, as it usually is."""
    shares = {
        "congestion window": row.cwnd_limited,
        "receive window": row.rwnd_limited,
        "send buffer": row.sndbuf_limited,
    }
    found = [f"{name} {share:.0%}" for name, share in shares.items() if share is not None and share >= _LIMITED]
    return (
        found
        if any(share is not None and share >= _LIMITED for share in (row.rwnd_limited, row.sndbuf_limited))
        else []
    )


def _matters(row: TcpRow) -> bool:
    return bool(row.lossy or (row.not_conforming is not None and row.not_conforming.connections))


def _table(rows: Sequence[Row], one: str, many: str) -> Iterator[RenderableType]:
    shown, folded = fold(rows, _badness)
    judged = any(row.tcp is not None and row.tcp.not_conforming is not None for row in rows)
    yield Text(folded_title(f"TCP of the {many}", shown, folded), "bold")
    table = plain_table("")
    table.add_column(one, no_wrap=True, max_width=16)
    titles = ("resent", "unordered", "lossy", "RTT p50", "p99", *(("bad: lost", "waited") if judged else ()))
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    for row in shown:
        cells = [fmt.NOTHING] * len(titles) if row.tcp is None else list(_cells(row.tcp, judged=judged))
        add_row(table, row.name, *cells)
    yield table


def _badness(row: Row) -> tuple[int, int]:
    tcp = row.tcp
    if tcp is None:
        return 0, 0
    return (tcp.not_conforming.connections if tcp.not_conforming else 0), tcp.lossy


def _cells(row: TcpRow, *, judged: bool) -> Iterator[str]:
    yield fmt.count(row.retransmits)
    yield fmt.NOTHING if row.out_of_order is None else fmt.count(row.out_of_order)
    yield f"{row.lossy}/{row.connections}"
    yield fmt.millis(row.rtt_p50_ms)
    yield fmt.millis(row.rtt_p99_ms)
    if judged:
        blame = row.not_conforming
        yield fmt.NOTHING if blame is None else fmt.count(blame.lost)
        yield fmt.NOTHING if blame is None else fmt.count(blame.waited)
