"""The live view of `loadgen pack`: how many VMs run, what is being done, and how much memory is left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from coordinator.output.terminal import format as fmt
from coordinator.output.terminal.frame import fitted, notice_rows
from coordinator.output.terminal.keys import UNTOUCHED, Controls, Window
from coordinator.output.terminal.live import View, choose_view
from coordinator.output.terminal.plain import Line, notice_lines

_BAR = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class PackProgress:
    """A packing in progress: `vms` run, of `wanted` (0: as many as fit), and `doing` says what happens now.

    `pss_bytes` is that of all VMs' processes; `free_bytes` the available memory, of which `kept_bytes` are kept free.
    Unknown numbers are -1.
    """

    doing: str
    vms: int
    wanted: int
    pss_bytes: int
    free_bytes: int
    kept_bytes: int
    notices: tuple[str, ...] = ()


def open_pack_view(console: Console) -> View[PackProgress]:
    """The live screen where the terminal can move its cursor, plain lines everywhere else."""
    return choose_view(console, PackScreen, pack_news)


def pack_news(view: PackProgress) -> Iterator[Line]:
    """One line for each thing that is done with each number of VMs, and each notice once."""
    yield from notice_lines(view.notices)
    of = f"/{view.wanted}" if view.wanted else ""
    yield Line((view.doing, view.vms), f"VMs={view.vms}{of} free={_gib(view.free_bytes)} {view.doing}")


@dataclass(frozen=True, slots=True)
class PackScreen:
    """The live screen."""

    view: PackProgress
    controls: Controls = UNTOUCHED

    def lines(self, width: int, height: int, *, ascii_only: bool) -> list[Text]:
        """The screen: at most `height - 1` lines of at most `width` cells."""
        view = self.view
        wanted = f" of {fmt.count(view.wanted)}" if view.wanted else ""
        lines = [Text(f"loadgen pack  {fmt.count(view.vms)}{wanted} VMs", "bold")]
        if view.wanted:
            lines.append(Text(fmt.bar(view.vms / view.wanted, min(_BAR, width), ascii_only=ascii_only), "green"))
        lines.append(Text(f" {view.doing}", "cyan"))
        lines.append(Text(f" memory: {_gib(view.free_bytes)} free, {_gib(view.kept_bytes)} kept free", "dim"))
        if view.vms and view.pss_bytes >= 0:
            lines.append(Text(f" PSS of all VMs: {_gib(view.pss_bytes)}", "dim"))
        lines += notice_rows(view.notices, len(view.notices))
        return fitted(lines, width, height, ascii_only)

    def window(self, width: int, height: int) -> Window:
        """No rows: there is no list."""
        return Window()


def _gib(size_bytes: int) -> str:
    return fmt.NOTHING if size_bytes < 0 else f"{size_bytes / (1 << 30):.2f} GiB"
