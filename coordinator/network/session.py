"""From the plan of a network run to an exit code: terminal, signals, the run, its result on stdout."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import uvloop

from coordinator.interrupts import Interrupts
from coordinator.network.around import Surroundings
from coordinator.network.forward import ForwardRun
from coordinator.network.iperf import IperfRun
from coordinator.output.catalog import print_result
from coordinator.output.streams import stderr_console
from coordinator.output.terminal.network_live import open_network_view
from coordinator.record.header import KIND_FORWARD, KIND_IPERF
from coordinator.record.writer import default_directory
from loadgen.model.probe import ForwardPlan, IperfPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSession:
    """What the command line asked for, beside the plan.  `out` of None is the default directory."""

    out: Path | None
    as_json: bool
    command_line: tuple[str, ...]


def run_iperf_session(plan: IperfPlan, session: NetworkSession) -> int:
    """Run it; the exit code."""
    return uvloop.run(_iperf(plan, session))


def run_forward_session(plan: ForwardPlan, session: NetworkSession, *, notes: tuple[str, ...] = ()) -> int:
    """Run it; the exit code.  `notes` go into the result."""
    return uvloop.run(_forward(plan, session, notes))


async def _iperf(plan: IperfPlan, session: NetworkSession) -> int:
    directory = session.out or default_directory(datetime.now(), kind=KIND_IPERF)
    with Interrupts() as interrupts:
        judged = await interrupts.during(IperfRun(plan, directory, _around(session)))
        print_result(judged, "json" if session.as_json else "text")
        return int(judged.result.exit_code)


async def _forward(plan: ForwardPlan, session: NetworkSession, notes: tuple[str, ...]) -> int:
    directory = session.out or default_directory(datetime.now(), kind=KIND_FORWARD)
    with Interrupts() as interrupts:
        judged = await interrupts.during(ForwardRun(plan, directory, _around(session), notes))
        print_result(judged, "json" if session.as_json else "text")
        return int(judged.result.exit_code)


def _around(session: NetworkSession) -> Surroundings:
    err = stderr_console()
    return Surroundings(
        command_line=session.command_line,
        say=lambda text: err.print(f"· {text}", markup=False, highlight=False, soft_wrap=True),
        view=open_network_view(err),
    )
