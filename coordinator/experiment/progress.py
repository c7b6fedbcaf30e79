"""The progress bar on stderr while a file set is made."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from coordinator.output.terminal.tty import moves_cursor


@contextlib.contextmanager
def fileset_progress(err: Console) -> Iterator[Callable[[int, int], None]]:
    """Yield a function that takes (done, total).  The bar is drawn only when there are files to make."""
    bar = Progress(
        TextColumn("  making the file set"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
    )
    task = bar.add_task("file set", total=None)

    def update(done: int, total: int) -> None:
        if done < total and not bar.live.is_started and moves_cursor(err):
            bar.start()
        bar.update(task, completed=done, total=total)
        if done >= total:
            stop()

    def stop() -> None:
        if bar.live.is_started:
            bar.stop()

    try:
        yield update
    finally:
        stop()
