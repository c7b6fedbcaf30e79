"""Makes the stream slots of an engine: those of each TCP connection form a session."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from itertools import groupby

from loadgen.engine.api import Assignment, Load
from loadgen.engine.context import EngineContext
from loadgen.engine.http2.client import WINDOW_BYTES
from loadgen.engine.http2.sealed import PROTOCOLS
from loadgen.engine.http2.session import Requests, Session
from loadgen.engine.http2.slot import StreamSlot
from loadgen.engine.remarks import Remarks
from loadgen.engine.tls import client_context


def make_slots(
    assignment: Assignment,
    context: EngineContext,
    target_of: Sequence[int],
    sources: Mapping[int, Sequence[str]],
    remarks: Remarks,
) -> list[StreamSlot]:
    """The slots of the engine's shard, in the order of their numbers.

    `target_of`: target index by number; `sources`: source addresses by address family.  The numbers of a target begin
    at a multiple of the streams per connection, so equal quotients mean one TCP connection.
    """
    streams, targets = assignment.load.streams, assignment.targets
    tls_context = _tls_context(assignment.load) if any(target.tls for target in targets) else None
    requests = [Requests(context, target) for target in targets]
    made: list[StreamSlot] = []
    for link, numbers in groupby(assignment.shard.connections, lambda number: number // streams):
        own = list(numbers)
        index = int(target_of[own[0]])
        address = context.ways[index].of(link)
        session = Session(
            context,
            own,
            index,
            requests[index],
            streams=streams,
            host=assignment.load.tls.name or targets[index].server_name,
            tls_context=tls_context if targets[index].tls else None,
            address=address,
            sources=sources.get(address[0], []),
            turn=link // len(context.ways[index].used),
            remarks=remarks,
            window_bytes=WINDOW_BYTES,
            resume=assignment.load.tls.resume,
        )
        made += session.slots
    return made


def _tls_context(load: Load) -> ssl.SSLContext:
    return client_context(verify=load.tls_verify, settings=load.tls, protocols=PROTOCOLS)
