"""What a machine's line to somewhere carries: a second of TCP in each direction, by iperf3's protocol."""

from __future__ import annotations

import dataclasses

from coordinator.network.ends import ProbeEnd
from loadgen.model.probe import Direction, ProbeTest
from loadgen.model.units import NS_PER_MS, NS_PER_S

_TEST = ProbeTest(duration_ns=NS_PER_S, omit_ns=200 * NS_PER_MS)


async def measure_bandwidth(host: str, port: int) -> dict[str, float]:
    """{"send_bps", "receive_bps"} against a `loadgen iperf --server` or `iperf3 -s` at an address.

    Raises TargetError when there is none, FleetError when this machine can't measure.
    """
    rates = {}
    async with ProbeEnd("bandwidth probe") as end:
        for name, direction in (("send_bps", Direction.SEND), ("receive_bps", Direction.RECEIVE)):
            result = await end.run(dataclasses.replace(_TEST, direction=direction), host, port)
            rates[name] = float(result.received_bps(direction))
    return rates
