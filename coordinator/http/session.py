"""From the plan of a `loadgen http` run to an exit code: terminal, signals, the run, its result on stdout."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import uvloop
from rich.console import Console

from coordinator.fleet.choice import FleetChoice
from coordinator.http.run import HttpRun, Surroundings
from coordinator.interrupts import Interrupts
from coordinator.output import printing, stderr_console
from coordinator.record.document import KIND_HTTP
from coordinator.record.http import http_finished
from coordinator.record.writer import default_directory
from coordinator.view.http_live import open_http_view
from coordinator.view.http_report import print_http
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
        header, result = await interrupts.during(HttpRun(session.plan, session.fleet, directory, around))
        with printing():
            if session.as_json:
                finished_at = datetime.now(UTC).isoformat(timespec="seconds")
                document = http_finished(header, result, finished_at=finished_at)
                sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
            else:
                print_http(Console(), result, header, record=directory)
        return int(result.exit_code)
