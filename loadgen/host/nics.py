"""The counters of this network namespace's NICs, from /proc/net/dev."""

from __future__ import annotations

from pathlib import Path

from loadgen.measure.forwarding import NicCounters

_LOOPBACK = "lo"
_RX_BYTES, _RX_PACKETS, _TX_BYTES, _TX_PACKETS = 0, 1, 8, 9  # columns after the name (net/core/net-procfs.c)


def read_nics(proc: Path = Path("/proc")) -> tuple[NicCounters, ...]:
    """All NICs except the loopback, in the kernel's order; () if they cannot be read."""
    try:
        # Not /proc/net, which links to the namespace of the process's first thread.
        text = (proc / "thread-self" / "net" / "dev").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ()
    return parse_nics(text)


def parse_nics(text: str) -> tuple[NicCounters, ...]:
    """The NICs in the text of /proc/net/dev, except the loopback; other lines, such as headings, are skipped."""
    found = []
    for line in text.splitlines():
        name, colon, rest = line.rpartition(":")
        fields = rest.split()
        if not colon or name.strip() == _LOOPBACK or len(fields) <= _TX_PACKETS or not fields[0].isdecimal():
            continue
        found.append(
            NicCounters(
                name=name.strip(),
                rx_bytes=int(fields[_RX_BYTES]),
                tx_bytes=int(fields[_TX_BYTES]),
                rx_packets=int(fields[_RX_PACKETS]),
                tx_packets=int(fields[_TX_PACKETS]),
            )
        )
    return tuple(found)
