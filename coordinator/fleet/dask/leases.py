"""Renews the leases of many machines in groups, at a third of the cost of one call to each machine.

Where renewals can be posted, they need no answer, which costs a third of that again; heartbeats show who is there.

No machine delays another.  The renewals of a group are sent at the same time, without waiting for the previous round;
only the answers of a group wait for its last one.  A machine whose heartbeat is overdue is renewed by a call of its
own.  So is one machine of the group in turn, to measure its clock.  Posted renewals measure clocks, too, by the
heartbeat that says when they arrived; but such a round trip contains waiting times on both sides, so the calls remain.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from coordinator.fleet.dask.asking import UnansweredError, ask_group
from coordinator.fleet.dask.lease import RENEW_TIMEOUT_S
from coordinator.fleet.dask.machine import RemoteMachine
from coordinator.fleet.ways import Line
from loadgen.agent.dask import calls
from loadgen.agent.dask.plugin import RENEW
from loadgen.model.errors import LoadgenError
from loadgen.model.units import NS_PER_S

GROUP = 32

_TURN = 4  # rounds per measurement of one clock; a call costs as much as ten posted renewals

_SILENT = UnansweredError("it did not answer in time")


async def keep_group(
    line: Line,
    run_id: str,
    machines: Sequence[RemoteMachine],
    interval_s: float,
    delay_s: float,
    *,
    is_late: Callable[[RemoteMachine], bool],
    spawn: Callable[[Coroutine[Any, Any, None]], None],
) -> None:
    """Renew the leases of `machines` each `interval_s`, the first time after `delay_s`, until all are lost.

    `is_late` says whether a machine's heartbeat is overdue.  `spawn` starts a task.
    """
    await asyncio.sleep(delay_s)
    number = 0
    while present := [machine for machine in machines if not machine.lost]:
        began_ns = time.monotonic_ns()
        turn = present[number // _TURN % len(present)] if number % _TURN == 0 else None
        together = [machine for machine in present if machine is not turn and not is_late(machine)]
        for machine in present:
            if machine not in together:
                machine.lease.renew_once()
        if together and not _post(line, run_id, together):
            spawn(_renew_together(line, run_id, together))
        number += 1
        await asyncio.sleep(interval_s - (time.monotonic_ns() - began_ns) / NS_PER_S)


def _post(line: Line, run_id: str, machines: Sequence[RemoteMachine]) -> bool:
    now_ns = time.monotonic_ns()
    return line.post({one.address: {"op": RENEW, "run_id": run_id, **one.lease.to_post(now_ns)} for one in machines})


async def _renew_together(line: Line, run_id: str, machines: Sequence[RemoteMachine]) -> None:
    now_ns = time.monotonic_ns()
    leases = {machine.name: machine.lease.terms(now_ns) for machine in machines}
    addresses = [machine.address for machine in machines]
    answers = await ask_group(line.client, addresses, calls.renew_group, run_id, leases, timeout_s=RENEW_TIMEOUT_S)
    for machine in machines:
        answer = answers.get(machine.address, _SILENT)
        try:
            if isinstance(answer, LoadgenError):
                raise answer
            machine.lease.answered(answer)
        except UnansweredError:
            pass  # a machine that stays silent is given up for that
        except LoadgenError as error:
            machine.lose(error.message)
