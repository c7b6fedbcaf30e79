"""The bandwidth of a machine's link to an address: one second of TCP in each direction, by iperf3's protocol."""

from __future__ import annotations

import dataclasses

from coordinator.ends import ProbeEnd
from loadgen.agent.answers import Answer, answering
from loadgen.model.probe import Direction, ProbeTest
from loadgen.model.units import NS_PER_MS, NS_PER_S

_TEST = ProbeTest(duration_ns=NS_PER_S, omit_ns=200 * NS_PER_MS)


@answering
async def bandwidth(host: str, port: int) -> Answer:
    """Measure {"send_bps", "receive_bps"} against a `loadgen iperf --server` or `iperf3 -s` at an address.

    A load machine runs this; the coordinator calls it through Dask.  It refuses with a TargetError if no server answers
    there, and with a FleetError if this machine cannot measure.
    """
    rates: Answer = {}
    async with ProbeEnd("bandwidth probe") as end:
        for name, direction in (("send_bps", Direction.SEND), ("receive_bps", Direction.RECEIVE)):
            result = await end.run(dataclasses.replace(_TEST, direction=direction), host, port)
            rates[name] = float(result.received_bps(direction))
    return rates
