"""From the plan of a `loadgen http` run to an exit code: terminal, signals, the run, its result on stdout."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import uvloop

from coordinator.fleet.choice import FleetChoice
from coordinator.http.run import HttpRun, Surroundings
from coordinator.interrupts import Interrupts
from coordinator.output.catalog import print_result
from coordinator.output.streams import stderr_console
from coordinator.output.terminal.http_live import open_http_view
from coordinator.record.header import KIND_HTTP
from coordinator.record.writer import default_directory
from loadgen.model.http_plan import HttpPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSession:
    """What the command line asked for.  `out` of None is the default directory."""

    plan: HttpPlan
    fleet: FleetChoice
    out: Path | None
    hdr: tuple[Path, ...]
    as_json: bool
    command_line: tuple[str, ...]


def run_http_session(session: HttpSession) -> int:
    """Run it; the exit code."""
    return uvloop.run(_run(session))


async def _run(session: HttpSession) -> int:
    err = stderr_console()
    directory = session.out or default_directory(datetime.now(), kind=KIND_HTTP)
    around = Surroundings(
        command_line=session.command_line,
        say=lambda text: err.print(f"· {text}", markup=False, highlight=False, soft_wrap=True),
        view=open_http_view(err),
        hdr=session.hdr,
    )
    with Interrupts() as interrupts:
        judged = await interrupts.during(HttpRun(session.plan, session.fleet, directory, around))
        print_result(judged, "json" if session.as_json else "text")
        return int(judged.result.exit_code)
