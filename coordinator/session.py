"""From a plan to an exit code: terminal, signals, one run or a sweep of runs, result on stdout."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import uvloop
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from coordinator.output import printing, stderr_console
from coordinator.record.document import Header, finished, sweep_document
from coordinator.record.environment import collect
from coordinator.record.sweep import Sweep, SweepPoint
from coordinator.record.writer import RecordWriter, default_directory
from coordinator.spec import SpecRun, Surroundings
from coordinator.view.chart import print_sweep
from coordinator.view.live import open_view
from coordinator.view.report import print_report
from loadgen.model.errors import ExitCode, LoadgenError
from loadgen.model.plan import SpecPlan
from loadgen.verdict.result import RunResult, Verdict

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class NothingMeasuredError(LoadgenError):
    """The user stopped before there was any traffic to judge."""

    exit_code = ExitCode.INTERRUPTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What the command line asked for.  `sweep` lists numbers of VMs; empty for a single run."""

    plan: SpecPlan
    sweep: tuple[int, ...]
    out: Path | None
    as_json: bool
    command_line: tuple[str, ...]


def cache_directory() -> Path:
    """Where file sets are kept between runs (XDG base directories)."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "loadgen"


def run_session(session: Session) -> int:
    """Run it; the exit code."""
    return uvloop.run(_run(session))


async def _run(session: Session) -> int:
    err = stderr_console()
    directory = session.out or default_directory(datetime.now())
    with _Interrupts() as interrupts, fileset_progress(err) as progress:
        around = Surroundings(
            command_line=session.command_line,
            cache=cache_directory(),
            say=lambda text: err.print(f"· {text}", markup=False, highlight=False, soft_wrap=True),
            progress=progress,
            view=open_view(err),
        )
        if session.sweep:
            return await _sweep(session, directory, around, interrupts)
        header, result = await interrupts.during(SpecRun(session.plan, directory, around))
        with printing():
            if session.as_json:
                _print_json(finished(header, result, finished_at=_now()))
            else:
                print_report(Console(), result, header, record=directory)
        return int(result.exit_code)


async def _sweep(session: Session, directory: Path, around: Surroundings, interrupts: _Interrupts) -> int:
    """One run after the other, each with a record of its own below the sweep's.

    Raises what kept a point from being begun, once the points before it are printed.
    """
    done: list[tuple[Header, SweepPoint]] = []
    failed: LoadgenError | None = None
    first = dataclasses.replace(session.plan, vms=session.sweep[0])
    whole = Header(started_at=_now(), plan=first, targets=(), environment=collect(command_line=session.command_line))
    with RecordWriter(directory, sweep_document(whole, session.sweep, done)) as writer:
        for count in session.sweep:
            around.say(f"— {count} VMs ({len(done) + 1} of {len(session.sweep)}) —")
            plan = dataclasses.replace(session.plan, vms=count)
            name = f"vms-{count}"
            try:
                header, result = await interrupts.during(SpecRun(plan, directory / name, around))
            except LoadgenError as error:
                if not done:
                    raise
                failed = error
                break
            done.append((header, SweepPoint(count, result, name)))
            whole = dataclasses.replace(whole, environment=header.environment)
            writer.rewrite(sweep_document(whole, session.sweep, done))
            if result.verdict is Verdict.INTERRUPTED:
                break
        document = sweep_document(whole, session.sweep, done, finished_at="" if failed else _now())
        writer.rewrite(document)
        for problem in writer.problems:
            around.say(problem)
    sweep = Sweep(tuple(point for _, point in done))
    with printing():
        if session.as_json:
            _print_json(document)
        else:
            cut = f"{len(done)} of {len(session.sweep)} points were measured" if failed else ""
            print_sweep(Console(), sweep, whole, record=directory, cut=cut)
    if failed:
        raise failed
    return int(sweep.exit_code)


class _Interrupts:
    """Ctrl-C (or SIGTERM, SIGHUP): the first stops a run's traffic, and before there is any, the run itself.

    They are caught for as long as the context lasts, between the points of a sweep too.
    """

    def __init__(self) -> None:
        self._came = False
        self._run: SpecRun | None = None
        self._task: asyncio.Task[tuple[Header, RunResult]] | None = None
        # What is ignored stays so: nohup means it.
        self._numbers = [number for number in _STOP_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]

    def __enter__(self) -> Self:
        for number in self._numbers:
            asyncio.get_running_loop().add_signal_handler(number, self._stop)
        return self

    def __exit__(self, *_: object) -> None:
        for number in self._numbers:
            asyncio.get_running_loop().remove_signal_handler(number)

    def _stop(self) -> None:
        self._came = True
        if self._run is not None and self._task is not None and not self._run.interrupt():
            self._task.cancel()

    async def during(self, run: SpecRun) -> tuple[Header, RunResult]:
        """The run, stopped when a signal comes.  Raises NothingMeasuredError when that was too early."""
        if self._came:
            raise _nothing_measured()
        self._run, self._task = run, asyncio.ensure_future(run.run())
        try:
            return await self._task
        except asyncio.CancelledError:
            raise _nothing_measured() from None
        finally:
            self._run = self._task = None


def _nothing_measured() -> NothingMeasuredError:
    return NothingMeasuredError("interrupted before there was any traffic; nothing was measured")


def _print_json(document: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@contextlib.contextmanager
def fileset_progress(err: Console) -> Iterator[Callable[[int, int], None]]:
    """A bar for the making of a file set, drawn only once there is something to make."""
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
        if done < total and not bar.live.is_started and err.is_terminal:
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
