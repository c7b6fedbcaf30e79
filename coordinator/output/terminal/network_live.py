"""The live view of a network run: a screen on a terminal, lines elsewhere."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from coordinator.output.terminal import format as fmt
from coordinator.output.terminal.frame import fitted, notice_rows, progress_line
from coordinator.output.terminal.keys import UNTOUCHED, Controls, Order, Window, window
from coordinator.output.terminal.live import View, choose_view
from coordinator.output.terminal.plain import Line, notice_lines
from coordinator.output.terminal.progress import Progress
from loadgen.measure.throughput import Tick
from loadgen.model.probe import Kind
from loadgen.model.units import NS_PER_MS, NS_PER_S

_MAX_NOTICES = 4
_GAP = "   "


def open_network_view(console: Console) -> View[Progress]:
    """The live screen where the terminal can move its cursor, plain lines everywhere else."""
    return choose_view(console, NetworkScreen, network_news)


def network_news(view: Progress) -> Iterator[Line]:
    """One line for each notice, each finished test, and each tick of the running test."""
    yield from notice_lines(view.notices)
    for number, (label, mbit_per_s) in enumerate(view.finished, start=1):
        rate = "" if mbit_per_s < 0 else f" Mbit/s={mbit_per_s:.1f}"
        yield Line(("done", number), f"done {number}/{view.steps} {label}{rate}")
    where = f"{view.elapsed_s:.0f}/{view.total_s:.0f}s {view.step}/{view.steps} {view.label}"
    if not view.ticks:
        if view.step == 0:
            yield Line(("prepare", view.label), where)
        return
    tick = view.ticks[-1]
    streams = view.kind is Kind.STREAM
    pace = f"Mbit/s={rate_of(tick):.1f}" if streams else f"transactions/s={per_s_of(tick):.0f}"
    parts = [where, *(["omitted"] if tick.omitted else []), pace]
    parts += [f"retransmits={tick.retransmits}"] if tick.retransmits >= 0 else []
    parts += [f"rtt_ms={tick.rtt_ns / NS_PER_MS:.2f}"] if tick.rtt_ns >= 0 else []
    parts += [f"lost={tick.lost}/{tick.packets}"] if tick.lost >= 0 else []
    yield Line(("tick", view.step, tick.end_ns), " ".join(parts))


@dataclass(frozen=True, slots=True)
class NetworkScreen:
    """The live screen: the running test, and a list of those that are finished."""

    view: Progress
    controls: Controls = UNTOUCHED

    def lines(self, width: int, height: int, *, ascii_only: bool) -> list[Text]:
        """The screen: at most `height - 1` lines of at most `width` cells."""
        view = self.view
        where = f"test {view.step}/{view.steps}  {view.label}" if view.step else view.label
        share = view.elapsed_s / view.total_s if view.total_s else 0.0
        remaining_s = max(0.0, view.total_s - view.elapsed_s)
        lines = [Text(view.title, "bold"), progress_line(where, share, remaining_s, width, ascii_only)]
        blank = [Text()] * _blank(height)
        lines += [*blank, *self._now(width, ascii_only), *blank]
        lines += [*self._finished(width, height), *self._notices(height)]
        return fitted(lines, width, height, ascii_only)

    def window(self, width: int, height: int) -> Window:
        """The finished tests that are shown: by itself, the screen shows the newest."""
        _, _, columns = self._widths(width)
        total = len(self.view.finished)
        rows = max(0, min(self._free(height) - 1, -(-total // columns))) * columns
        rows = min(rows, total)
        return window(total, rows, self.controls, Window(first=total - rows, rows=rows, total=total))

    def _notices(self, height: int) -> list[Text]:
        return notice_rows(self.view.notices, 1 if height < 12 else _MAX_NOTICES)

    def _free(self, height: int) -> int:
        """The lines that are left for the finished tests and their heading."""
        return height - 1 - 4 - 2 * _blank(height) - len(self._notices(height))

    def _widths(self, width: int) -> tuple[int, int, int]:
        """The widths of the names and of the rates of finished tests, and the number of columns that fit."""
        names = max((cell_len(label) for label, _ in self.view.finished), default=0)
        rates = max((len(_shown(rate)) for _, rate in self.view.finished), default=0)
        return names, rates, max(1, (width - 1 + len(_GAP)) // (names + 2 + rates + len(_GAP)))

    def _finished(self, width: int, height: int) -> list[Text]:
        """The finished tests that are shown, in columns from top to bottom."""
        names, rates, columns = self._widths(width)
        shown, finished = self.window(width, height), list(self.view.finished)
        if not shown.rows:
            return []
        if shown.order is Order.WORST:
            finished.sort(key=lambda test: test[1] if test[1] >= 0 else math.inf)
        cells = [
            f"{fmt.pad(label, names)}  {_shown(rate):>{rates}}"
            for label, rate in finished[shown.first : shown.first + shown.rows]
        ]
        which = "" if shown.whole and shown.order is Order.GIVEN else f": {shown.words('tests')}"
        lines = -(-len(cells) // columns)
        return [
            Text(f" Mbit/s of finished tests{which}", "dim bold"),
            *(Text(" " + _GAP.join(cells[line::lines])) for line in range(lines)),
        ]

    def _now(self, width: int, ascii_only: bool) -> list[Text]:
        """The running test: its newest tick in numbers, and all ticks as a sparkline."""
        if not self.view.ticks:
            return [Text(), Text()]  # empty lines, so that the lines below do not move
        tick = self.view.ticks[-1]
        streams = self.view.kind is Kind.STREAM
        pace = fmt.rate(rate_of(tick)) if streams else fmt.count(round(per_s_of(tick)))
        words = [f"{pace} {'Mbit/s' if streams else 'transactions/s'}"]
        if streams and tick.sent_bytes and tick.received_bytes:
            sent, received = (_rate(size, tick) for size in (tick.sent_bytes, tick.received_bytes))
            words.append(f"send {fmt.rate(sent)}, receive {fmt.rate(received)}")
        words += ["warm-up, not counted"] if tick.omitted else []
        words += [f"retransmits {fmt.count(tick.retransmits)}"] if tick.retransmits >= 0 else []
        words += [f"RTT {fmt.millis(tick.rtt_ns / NS_PER_MS)} ms"] if tick.rtt_ns >= 0 else []
        words += [f"cwnd {tick.cwnd_bytes / 1024:,.0f}K"] if tick.cwnd_bytes >= 0 else []
        words += [f"lost {fmt.count(tick.lost)} of {fmt.count(tick.packets)}"] if tick.lost >= 0 else []
        rates = [rate_of(one) for one in self.view.ticks[-max(1, width - 1) :]]
        return [
            Text.assemble((f" {words[0]}", "bold"), _GAP if words[1:] else "", _GAP.join(words[1:])),
            Text(f" {fmt.sparkline(rates, ascii_only=ascii_only)}", "green"),
        ]


def _blank(height: int) -> int:
    """The number of empty lines between parts."""
    return int(height >= 16)


def _shown(mbit_per_s: float) -> str:
    return fmt.NOTHING if mbit_per_s < 0 else fmt.rate(mbit_per_s)


def rate_of(tick: Tick) -> float:
    """Mbit/s of an interval, both directions together."""
    return _rate(tick.sent_bytes + tick.received_bytes, tick)


def per_s_of(tick: Tick) -> float:
    """Transactions per second; each is one byte there and one byte back."""
    return _rate(tick.received_bytes, tick) * 1e6 / 8


def _rate(size_bytes: int, tick: Tick) -> float:
    length_ns = tick.end_ns - tick.start_ns
    return size_bytes * 8e-6 * NS_PER_S / length_ns if length_ns > 0 else 0.0
