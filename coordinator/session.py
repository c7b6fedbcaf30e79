"""From a plan to an exit code: terminal, signals, one run or a sweep of runs, result on stdout."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import uvloop
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from coordinator.fleet.choice import FleetChoice
from coordinator.interrupts import Interrupts
from coordinator.output.catalog import print_result
from coordinator.output.judged import Judged
from coordinator.output.streams import stderr_console
from coordinator.output.terminal.live import open_view
from coordinator.record.document import finished, unfinished
from coordinator.record.environment import collect
from coordinator.record.fleet import FleetRecord
from coordinator.record.header import KIND_SWEEP, Header
from coordinator.record.sweep_result import Sweep, SweepPoint
from coordinator.record.writer import RecordWriter, default_directory
from coordinator.spec import SpecRun, Surroundings
from loadgen.model.errors import LoadgenError
from loadgen.model.plan import SpecPlan
from loadgen.verdict.result import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What the command line asked for.  `sweep` lists numbers of VMs; empty for a single run."""

    plan: SpecPlan
    fleet: FleetChoice
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
    with Interrupts() as interrupts, fileset_progress(err) as progress:
        around = Surroundings(
            command_line=session.command_line,
            cache=cache_directory(),
            say=lambda text: err.print(f"· {text}", markup=False, highlight=False, soft_wrap=True),
            progress=progress,
            view=open_view(err),
        )
        if session.sweep:
            return await _sweep(session, directory, around, interrupts)
        judged = await interrupts.during(SpecRun(session.plan, session.fleet, directory, around))
        print_result(judged, "json" if session.as_json else "text")
        return int(judged.result.exit_code)


async def _sweep(session: Session, directory: Path, around: Surroundings, interrupts: Interrupts) -> int:
    """One run after the other, each with a record of its own below the sweep's.

    Raises what kept a point from being begun, once the points before it are printed.
    """
    sweep = Sweep(vms=session.sweep)
    failed: LoadgenError | None = None
    least = session.sweep[0]
    first = dataclasses.replace(session.plan, vms=least, targets=session.plan.targets[:least])
    whole = Header(
        kind=KIND_SWEEP,
        started_at=_now(),
        plan=first,
        environment=collect(command_line=session.command_line),
        fleet=FleetRecord(way=session.fleet.way.value, run_id="", hosts=session.fleet.host_tables()),
    )
    with RecordWriter(directory, unfinished(whole, sweep)) as writer:
        for count in session.sweep:
            around.say(f"— {count} VMs ({len(sweep.points) + 1} of {len(session.sweep)}) —")
            plan = dataclasses.replace(session.plan, vms=count, targets=session.plan.targets[:count])
            name = f"vms-{count}"
            try:
                judged = await interrupts.during(SpecRun(plan, session.fleet, directory / name, around))
            except LoadgenError as error:
                if not sweep.points:
                    raise
                failed = error
                break
            point = SweepPoint(count, judged.header, judged.result, name)
            sweep = dataclasses.replace(sweep, points=(*sweep.points, point))
            whole = dataclasses.replace(whole, environment=judged.header.environment)
            writer.rewrite(unfinished(whole, sweep))
            if judged.result.verdict is Verdict.INTERRUPTED:
                break
        document = unfinished(whole, sweep) if failed else finished(whole, sweep, finished_at=_now())
        writer.rewrite(document)
        for problem in writer.problems:
            around.say(problem)
    cut = f"{len(sweep.points)} of {len(session.sweep)} points were measured" if failed else ""
    print_result(
        Judged(path=directory, document=document, header=whole, result=sweep, cut=cut),
        "json" if session.as_json else "text",
    )
    if failed:
        raise failed
    return int(sweep.exit_code)


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
