"""The last step of every command that plays an experiment; returns the exit code."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coordinator.experiment.api import Experiment
    from coordinator.fleet.choice import FleetChoice
    from coordinator.output.web.watch import Watch


def play(
    experiment: Experiment[Any],
    *,
    fleet: FleetChoice | None = None,
    out: Path | None,
    as_json: bool,
    html: Path | None = None,
    hdr: tuple[Path, ...] = (),
    note: str = "",
    engines: int = 0,
    shows_secrets: bool = False,
    watch: Watch | None = None,
) -> int:
    """Play the experiment and return the exit code.

    `note` is added to the result.  `html` is a file for a report.  With `shows_secrets`, the record holds the secrets
    of the plan.  `watch` says where the runs are to be seen.

    `engines` is the number of engine processes on this machine.  They start before anything else is imported, because
    nothing at the beginning of a run takes longer; whatever happens then, they end.
    """
    from loadgen.agent.children import EarlyEngines

    with EarlyEngines(engines) as early:
        from coordinator.experiment.performance import Session
        from coordinator.experiment.session import run_session
        from coordinator.output.web.watch import Watch

        session = Session(
            experiment=experiment,
            fleet=fleet,
            command_line=tuple(sys.argv),
            out=out,
            form="json" if as_json else "text",
            html=html,
            hdr=hdr,
            notes=(note,) if note else (),
            early=early,
            shows_secrets=shows_secrets,
            watch=watch or Watch(),
        )
        return run_session(session)
