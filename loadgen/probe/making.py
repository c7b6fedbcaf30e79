"""The client's stream on an open socket, by the kind and the transport of its test."""

from __future__ import annotations

import socket

from loadgen.model.probe import ProbeTest, Transport
from loadgen.probe.messages import Parameters
from loadgen.probe.streams import Stream
from loadgen.probe.tcp import TcpReceiver, TcpSender
from loadgen.probe.udp import UdpReceiver, UdpSender


def stream_of(
    test: ProbeTest, asked: Parameters, number: int, sock: socket.socket, block: memoryview, *, sends: bool
) -> Stream:
    """The stream with the id `number`; it sends `block` repeatedly, or receives."""
    timed = bool(test.limit_bytes)
    if test.transport is Transport.UDP:
        wide = asked.counters_64bit
        if sends:
            return UdpSender(number, sock, block, rate_bps=asked.rate_bps, counters_64bit=wide, cores=test.cores)
        return UdpReceiver(number, sock, counters_64bit=wide, timed=timed, cores=test.cores)
    if sends:
        return TcpSender(number, sock, block, rate_bps=asked.rate_bps, cores=test.cores)
    eager = not (timed or test.window_bytes)
    return TcpReceiver(number, sock, eager=eager, timed=timed, cores=test.cores)
