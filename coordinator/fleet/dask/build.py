"""Makes the fleet on Dask that a FleetChoice describes."""

from __future__ import annotations

from collections.abc import Callable

from coordinator.fleet.choice import FleetChoice, WayKind
from coordinator.fleet.dask.fleet import DaskFleet
from coordinator.fleet.dask.join_way import JoinWay
from coordinator.fleet.dask.scheduler_way import SchedulerWay
from coordinator.fleet.dask.ssh_way import SshWay
from coordinator.fleet.ways import Way
from loadgen.model.plan import OnLoss


def build(
    choice: FleetChoice,
    on_loss: OnLoss,
    *,
    run_id: str,
    say: Callable[[str], None],
    on_log: Callable[[str, str], None],
) -> DaskFleet:
    """Make the fleet, which is not open yet; arguments as for `coordinator.fleet.make.make_fleet`."""
    return DaskFleet(_way(choice, run_id, say), run_id=run_id, engines=choice.engines, on_loss=on_loss, on_log=on_log)


def _way(choice: FleetChoice, run_id: str, say: Callable[[str], None]) -> Way:
    match choice.way:
        case WayKind.SSH:
            return SshWay(
                choice.hosts, coordinator_address=choice.coordinator, ports=choice.ports, run_id=run_id, say=say
            )
        case WayKind.SCHEDULER:
            return SchedulerWay(choice.scheduler, run_id=run_id, count=choice.workers, say=say)
        case _:
            assert choice.listen is not None
            assert choice.certs is not None
            host, port = choice.listen
            return JoinWay(host, port, choice.certs, choice.workers, say)
