"""From the choice of load machines to the fleet that reaches them."""

from __future__ import annotations

from collections.abc import Callable

from coordinator.fleet.api import Fleet
from coordinator.fleet.choice import FleetChoice, WayKind
from coordinator.fleet.local import LocalFleet
from loadgen.agent.children import EarlyEngines
from loadgen.model.plan import OnLoss


def make_fleet(
    choice: FleetChoice,
    engines: int,
    on_loss: OnLoss,
    *,
    run_id: str,
    say: Callable[[str], None],
    on_log: Callable[[str, str], None],
    early: EarlyEngines | None = None,
) -> Fleet:
    """The fleet, closed yet; on this machine it has `engines`, others count their own.

    `on_log` gets (machine, line) of what its agents log.  On this machine, engines of `early` are used first.
    Every way but the local one needs the extra's packages (loadgen.agent.extra).
    """
    if choice.way is WayKind.LOCAL:
        return LocalFleet(engines, early)
    from coordinator.fleet.dask.build import build

    return build(choice, on_loss, run_id=run_id, say=say, on_log=on_log)
