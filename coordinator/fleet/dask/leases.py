"""The leases of a great many machines, renewed in groups: that costs a third of a command to each.

Where the way can post a renewal, nobody answers it, which costs a third again: heartbeats say who is there.

Nothing on one machine holds up another.  A group's renewals are sent at the same time, and nobody waits for the round
before; only what they answer waits for the last of them.  Who is late with its heartbeat is renewed on its own, and so
is one of the group in turn, which measures its clock.  What is posted measures clocks, too, by the heartbeat that says
when it came, but with all the waiting that both have behind them: so the turn comes less often, but it does.
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

_TURN = 4  # in so many rounds a clock is asked for; a question costs ten renewals

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
    """Renew these each `interval_s`, the first time after `delay_s`, until all of them are lost.

    `spawn` runs something beside this.
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
            pass  # its silence will tell
        except LoadgenError as error:
            machine.lose(error.message)
