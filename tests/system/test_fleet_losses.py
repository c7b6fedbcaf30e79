"""A machine is lost in a run, or while the run is closed, or the coordinator is: the run ends with its report.

These are some cells of the matrix in benchmarks/fleet_losses.py; all of them are played at the same time.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import pytest

from tests.support.fleet_runs import fleet
from tests.support.losses import KILLED, STOPPED, Ended, Loss, Losses, make
from tests.support.machines import needs_machines

pytestmark = needs_machines

CELLS = (
    Loss("link-down", "hosts", "window"),
    Loss("link-down", "listen", "closing"),
    Loss("SIGSTOP", "listen", "window"),
    Loss("SIGSTOP", "hosts", "closing"),
    Loss("SIGSTOP", "scheduler", "closing", abort=True),
    Loss("SIGKILL", "hosts", "ramp-up"),
    Loss("SIGKILL", "scheduler", "arming"),
    Loss("SIGKILL", "listen", "ramp-down", abort=True),
    Loss("link-down", "scheduler", "ramp-down"),
    Loss("disk-full", "listen", "window"),
    Loss("disk-full", "hosts", "arming"),
    Loss("clock-step", "scheduler", "window"),
    Loss("clock-leap", "listen", "window"),
    Loss(STOPPED, "hosts", "arming"),
    Loss(STOPPED, "listen", "closing"),
    Loss(KILLED, "hosts", "arming"),
)
LANES = 4


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Loss, Future[Ended]]]:
    with fleet(tmp_path_factory, "losses", lambda directory: make(directory, LANES), runs=3) as (machines, servers):
        lanes = [ThreadPoolExecutor(1) for _ in range(LANES)]
        played: dict[Loss, Future[Ended]] = {}
        for number, lane in enumerate(lanes):
            losses = Losses(machines, servers, tmp_path_factory.mktemp(f"lane-{number}"), number)
            played |= {cell: lane.submit(losses.play, cell) for cell in islice(CELLS, number, None, LANES)}
        yield played
        for lane in lanes:
            lane.shutdown(cancel_futures=True)


@pytest.mark.parametrize("loss", CELLS, ids=str)
def test_a_run_that_loses_a_machine_or_its_coordinator_ends_as_it_must(
    loss: Loss, ended: dict[Loss, Future[Ended]]
) -> None:
    found = ended[loss].result(180)
    assert not found.wrong, f"{found.out}\n{found.err}"
