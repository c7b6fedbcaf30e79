"""The calls that an agent answers.  The coordinator runs each of them on the agent's worker by `Client.run`.

Arguments and answers are plain data.  A refusal is an answer, too (loadgen.agent.answers).
"""

from __future__ import annotations

import asyncio
import time

from distributed import Worker

from loadgen.agent import spool as spools
from loadgen.agent.answers import Answer, answering
from loadgen.agent.chunk import MAX_CHUNK_BYTES, chunk_to_wire
from loadgen.agent.dask.plugin import AgentPlugin, agent_for, agents_of
from loadgen.agent.duty import Duty
from loadgen.engine.api import Segment
from loadgen.model.errors import FleetError


@answering
async def hello(
    run_id: str, name: str, engines: int, versions: dict[str, str], spool: str, *, dask_worker: Worker
) -> Answer:
    """Become machine `name` of the run: start the engines NAME/0, NAME/1, … and the heartbeats.

    `engines` 0 means one engine for each core.  `versions` are those of the coordinator (loadgen.agent.facts).  `spool`
    is a directory; "" leaves it to the machine.  Returns the machine's description.
    """
    return await agent_for(dask_worker, run_id).hello(run_id, name, engines, versions, spool)


async def clock(*, dask_worker: Worker) -> Answer:
    """Return this machine's CLOCK_MONOTONIC in ns."""
    return {"at_ns": time.monotonic_ns()}


@answering
async def take_plan(run_id: str, blob: bytes, *, dask_worker: Worker) -> Answer:
    """Keep the part of the plan that all workers share (loadgen.agent.duty.pack_plan).  Returns its digest."""
    return {"digest": await _duty(dask_worker, run_id).take_plan(blob)}


@answering
async def prepare(run_id: str, digest: str, shards: dict[str, bytes], *, dask_worker: Worker) -> Answer:
    """Give the engines their shards of the plan with that digest; engines without a shard are ended."""
    await _duty(dask_worker, run_id).prepare(digest, shards)
    return {}


@answering
async def start(run_id: str, segment: dict[str, int], *, dask_worker: Worker) -> Answer:
    """Play a segment, whose times are of this machine's clock.  Returns the workers that are armed."""
    duty = _duty(dask_worker, run_id)
    try:
        wanted = Segment(**segment)
    except TypeError as error:
        raise FleetError(f"it cannot read the segment: {error}") from error
    return {"armed": await duty.start(wanted)}


async def renew(run_id: str, until_ns: int, acknowledged_bytes: int, *, dask_worker: Worker) -> Answer:
    """Extend the lease to a moment of this machine's clock, and acknowledge the first bytes of the spool."""
    duty = _find(dask_worker, run_id)
    return {
        "at_ns": time.monotonic_ns(),
        "known": duty is not None and duty.renew(until_ns, acknowledged_bytes),
    }


async def renew_group(run_id: str, leases: dict[str, tuple[int, int]], *, dask_worker: Worker) -> Answer:
    """Do as `renew`, for several machines at once: `leases` has both numbers of each machine, by its name."""
    duty = _find(dask_worker, run_id)
    mine = leases.get(duty.machine) if duty is not None else None
    return {"at_ns": time.monotonic_ns(), "known": duty is not None and mine is not None and duty.renew(*mine)}


async def stop(run_id: str, segment: int, *, dask_worker: Worker) -> Answer:
    """Stop the traffic of segments up to this one."""
    if (duty := _find(dask_worker, run_id)) is not None:
        duty.stop(segment)
    return {}


async def dismiss(run_id: str, workers: list[str], *, dask_worker: Worker) -> Answer:
    """End these engines, or all if none is named."""
    if (duty := _find(dask_worker, run_id)) is not None:
        duty.dismiss(workers)
    return {}


@answering
async def read_spool(run_id: str, name: str, offset: int, max_bytes: int, spool: str, *, dask_worker: Worker) -> Answer:
    """Return a part of a spool on this machine, and the length of that spool.  The run may be over."""
    size = max(0, min(max_bytes, MAX_CHUNK_BYTES))
    duty = _find(dask_worker, run_id)
    try:
        if duty is not None and duty.machine == name and not duty.is_over:
            await duty.settle()
            data, total = duty.spool.read(offset, size), duty.spool.length
        else:
            agent = next(iter(agents_of(dask_worker)), AgentPlugin())
            path = spools.spool_path(agent.spool_directory(spool), run_id, name)
            data, total = await asyncio.to_thread(spools.read_part, path, offset, size)
    except FileNotFoundError:
        raise FleetError(f"there is no spool of {name} in run {run_id} here") from None
    except (OSError, ValueError) as error:
        raise FleetError(f"the spool of {name} in run {run_id} cannot be read: {error}") from error
    return {**chunk_to_wire(offset, data), "total_bytes": total}


@answering
async def finish(run_id: str, *, dask_worker: Worker) -> Answer:
    """Stop, and write nothing more.  Returns the length of the spool."""
    return {"bytes": await _duty(dask_worker, run_id).finish()}


async def leave(run_id: str, delete_spool: bool, *, dask_worker: Worker) -> Answer:
    """End the engines and heartbeats of a run that is over; delete its spool, or keep it."""
    for agent in agents_of(dask_worker):
        if agent.serves(run_id) is not None:
            await agent.leave(delete_spool=delete_spool)
    return {}


def _find(worker: Worker, run_id: str) -> Duty | None:
    return next((duty for agent in agents_of(worker) if (duty := agent.serves(run_id)) is not None), None)


def _duty(worker: Worker, run_id: str) -> Duty:
    duty = _find(worker, run_id)
    if duty is None or duty.is_over:
        raise FleetError(f"it does not serve run {run_id}, or no longer")
    return duty
