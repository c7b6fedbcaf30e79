"""Socket options of a test, and the values that the kernel granted."""

from __future__ import annotations

import errno
import os
import socket
import struct
from pathlib import Path

from loadgen.measure.throughput import UNKNOWN, Granted
from loadgen.model.errors import PlanError
from loadgen.model.probe import MAX_MSS_BYTES, Kind, ProbeTest
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.probe.messages import Parameters
from loadgen.probe.tcpinfo import TCP_INFO_BYTES, TcpInfo, unpack

BLOCKED_AT_MOST_NS = 100 * NS_PER_MS
"""Longest blocking call of a stream's thread, so that it notices the end of its test."""

_LEAST_SEGMENT_BYTES = 536  # TCP_MSS_DEFAULT of Linux
_SO_MAX_PACING_RATE = 47  # asm-generic/socket.h
_SO_MEMINFO = 55  # asm-generic/socket.h; since Linux 4.12
_MEMINFO = struct.Struct("=9I")
_MEMINFO_DROPS = 8  # SK_MEMINFO_DROPS of linux/sock_diag.h
_AVAILABLE = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")
_LARGEST_RATE = (1 << 63) - 1


def tune(sock: socket.socket, asked: Parameters) -> None:
    """Set the options that a test requests on a data socket, before it connects or right after it was accepted.

    Raises OSError if the kernel refuses an option.
    """
    if asked.window_bytes:  # the kernel doubles the size, and limits it to wmem_max and rmem_max
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, asked.window_bytes)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, asked.window_bytes)
    if asked.type_of_service:
        if sock.family is socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, asked.type_of_service)
        # Also on an IPv6 socket: its peer may have an IPv4 address.
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, asked.type_of_service)
    if asked.kernel_rate_bps:
        rate = struct.pack("=Q", min(_LARGEST_RATE, asked.kernel_rate_bps // 8))
        sock.setsockopt(socket.SOL_SOCKET, _SO_MAX_PACING_RATE, rate)
    if sock.type is socket.SOCK_STREAM:
        if asked.mss_bytes:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, asked.mss_bytes)
        if asked.no_delay or asked.kind is not Kind.STREAM:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if asked.congestion:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, asked.congestion.encode())


def fit_segments(sock: socket.socket, window_bytes: int) -> None:
    """Let segments fit into the window of the far end; call it before connecting.

    A sender waits until a whole segment, or half of the largest window that it ever saw, fits (RFC 9293, 3.8.6.2.1).
    Over loopback a segment is 64 KB, and our server sets the window after the handshake, which offers 64 KB: with a
    smaller window, each write waited for a timer of 0.2 s.  On a NIC, segments are smaller than this.
    """
    size = max(_LEAST_SEGMENT_BYTES, window_bytes // 2)
    if size <= MAX_MSS_BYTES:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, size)


def make_blocking(sock: socket.socket) -> None:
    """Make calls on `sock` block, for at most :data:`BLOCKED_AT_MOST_NS`; for use in a thread.

    Uses the kernel's time-outs, because Python's own time-out polls before each call.
    """
    sock.setblocking(True)
    seconds, rest_ns = divmod(BLOCKED_AT_MOST_NS, NS_PER_S)
    value = struct.pack("@ll", seconds, rest_ns // 1000)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, value)


def granted(sock: socket.socket) -> Granted:
    """The buffer sizes of a socket; UNKNOWN if it is closed."""
    try:
        return Granted(
            send_bytes=sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF),
            receive_bytes=sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF),
        )
    except OSError:
        return Granted()


def tcp_info(sock: socket.socket) -> TcpInfo:
    """The kernel's TCP_INFO of the connection; all UNKNOWN if it is closed."""
    try:
        return unpack(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES))
    except OSError:
        return unpack(b"")


def dropped(sock: socket.socket) -> int:
    """Datagrams that the kernel dropped because the socket's buffer was full; UNKNOWN if closed or not counted."""
    try:
        counters = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
    except OSError:
        return UNKNOWN
    return int(_MEMINFO.unpack(counters)[_MEMINFO_DROPS]) if len(counters) == _MEMINFO.size else UNKNOWN


def congestion_of(sock: socket.socket) -> str:
    """The congestion control of a TCP socket; empty if it is closed."""
    try:
        return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).partition(b"\0")[0].decode()
    except OSError:
        return ""


def segment_bytes(sock: socket.socket) -> int:
    """The MSS of a TCP socket in bytes; UNKNOWN if it is closed."""
    try:
        return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
    except OSError:
        return UNKNOWN


def check_test(test: ProbeTest) -> None:
    """Raises PlanError if this machine lacks the congestion control or the cores that `test` needs."""
    check_congestion(test.congestion)
    if not set(test.cores) <= os.sched_getaffinity(0):
        usable = ",".join(str(core) for core in sorted(os.sched_getaffinity(0)))
        raise PlanError("the test needs cores that this process may not use", hint=f"usable cores: {usable}")


def check_congestion(name: str) -> None:
    """Raises PlanError if this kernel lacks the congestion control `name`, or does not permit it."""
    if not name:
        return
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, name.encode())
        except (OSError, ValueError) as error:
            has = ", ".join(_AVAILABLE.read_text().split()) if _AVAILABLE.exists() else ""
            hint = f"available: {has}" if has else ""
            if isinstance(error, OSError) and error.errno == errno.EPERM:
                raise PlanError(f"only root may use the congestion control {name} here", hint=hint) from error
            raise PlanError(f"this kernel has no congestion control {name}", hint=hint) from error
