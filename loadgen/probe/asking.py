"""What a client asks of its server, from the plan of a test.  Pure."""

from __future__ import annotations

from loadgen import __version__
from loadgen.measure.throughput import UNKNOWN
from loadgen.model.probe import Direction, Kind, ProbeTest, Transport
from loadgen.probe.messages import Parameters
from loadgen.probe.tcp import block_bytes
from loadgen.probe.udp import LARGEST_DEFAULT_BYTES, needs_64bit


def parameters_of(test: ProbeTest, mss_bytes: int, token: str = "") -> Parameters:
    """The parameters of `test` for its server; `mss_bytes` is the MSS of the path, or UNKNOWN; `token`, the login."""
    udp = test.transport is Transport.UDP
    if udp:
        default = min(LARGEST_DEFAULT_BYTES, mss_bytes) if mss_bytes != UNKNOWN else LARGEST_DEFAULT_BYTES
    else:
        default = block_bytes(test.parallel, test.rate_bps)
    block = test.block_bytes or default
    return Parameters(
        kind=test.kind,
        transport=test.transport,
        direction=Direction.SEND if test.kind is not Kind.STREAM else test.direction,
        parallel=test.parallel,
        duration_ns=0 if test.limit_bytes else test.duration_ns,
        omit_ns=test.omit_ns,
        limit_bytes=test.limit_bytes,
        block_bytes=block,
        window_bytes=test.window_bytes,
        rate_bps=test.rate_bps,
        congestion=test.congestion,
        mss_bytes=test.mss_bytes,
        no_delay=test.no_delay,
        type_of_service=test.type_of_service,
        counters_64bit=udp and needs_64bit(test.rate_bps, block, test.omit_ns + test.duration_ns),
        version=__version__,
        token=token,
        udp_cookies=udp,
    )
