"""Durations, sizes and rates as people write them, and as loadgen prints them.

Every parser raises :class:`PlanError` that quotes the wrong text and gives an example.
"""

from __future__ import annotations

import re
from decimal import Decimal

from loadgen.model.errors import PlanError

NS_PER_US = 1_000
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000

AUTO = "auto"
"""How people write a window whose size the kernel chooses."""

_DURATIONS_NS = {
    "ns": 1,
    "us": NS_PER_US,
    "ms": NS_PER_MS,
    "s": NS_PER_S,
    "m": 60 * NS_PER_S,
    "h": 3600 * NS_PER_S,
}
_DECIMAL = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
_BINARY = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_NUMBER_AND_UNIT = re.compile(r"(\d+(?:\.\d+)?)\s*([a-zA-Zµ/]*)")


def _split(text: str, what: str, example: str) -> tuple[Decimal, str]:
    match = _NUMBER_AND_UNIT.fullmatch(text.strip())
    if match is None:
        raise PlanError(f"{text!r} is not a {what}", hint=f"write it like {example}")
    return Decimal(match[1]), match[2].replace("µ", "u")


def parse_duration_ns(text: str) -> int:
    """Nanoseconds of a text like `20s`, `250ms`, `1.5m`, `1h`, or seconds without a unit."""
    number, unit = _split(text, "duration", "20s, 250ms or 5m")
    factor = _DURATIONS_NS.get(unit.lower() or "s")
    if factor is None:
        raise PlanError(f"{text!r} is not a duration: unknown unit {unit!r}", hint="use ns, us, ms, s, m or h")
    return int(number * factor)


def parse_rate_bps(text: str) -> int:
    """Bits per second of a text like `400k`, `1.5M`, `400kbit/s`, `400kbps` or `400000` (decimal multiples)."""
    number, unit = _split(text, "rate", "400k or 1.5M (bit/s)")
    for name in ("bit/s", "bps", "bit"):  # case matters: B would mean bytes
        if unit.endswith(name):
            unit = unit.removesuffix(name)
            break
    factor = _DECIMAL.get(unit.lower())
    if factor is None:
        raise PlanError(f"{text!r} is not a rate", hint="write it like 400k or 1.5M (bit/s)")
    return int(number * factor)


def parse_per_s(text: str) -> float:
    """A number per second of a text like `5000/s`, `5k/s` or `5000`; more than 0."""
    number, unit = _split(text, "rate", "5000/s or 5k/s")
    factor = _DECIMAL.get(unit.lower().removesuffix("/s"))
    if factor is None or not number:
        raise PlanError(f"{text!r} is not a rate", hint="write it like 5000/s or 5k/s")
    return float(number * factor)


def parse_size_bytes(text: str) -> int:
    """Bytes of a text like `16K`, `1.5M`, `16KB`, `16KiB` or `16384` (binary multiples, as in iperf3)."""
    number, unit = _split(text, "size", "16K, 1M or 65536")
    for name in ("iB", "B"):  # case matters: b would mean bits
        if unit.endswith(name):
            unit = unit.removesuffix(name)
            break
    factor = _BINARY.get(unit.lower())
    if factor is None:
        raise PlanError(f"{text!r} is not a size", hint="write it like 16K, 1M or 65536 (bytes)")
    return int(number * factor)


def format_size(size_bytes: int) -> str:
    """The size in the largest unit that divides it; :func:`parse_size_bytes` reads it back to the same value."""
    for unit in ("g", "m", "k"):
        if size_bytes and size_bytes % _BINARY[unit] == 0:
            return f"{size_bytes // _BINARY[unit]}{unit.upper()}"
    return str(size_bytes)


def format_window(window_bytes: int) -> str:
    """The size of a socket buffer like `64K`; 0 is `auto`, the kernel's choice."""
    return format_size(window_bytes) if window_bytes else AUTO


def format_duration(duration_ns: int) -> str:
    """The shortest text that :func:`parse_duration_ns` reads back to the same value."""
    for unit in ("h", "m", "s", "ms", "us"):
        if duration_ns and duration_ns % _DURATIONS_NS[unit] == 0:
            return f"{duration_ns // _DURATIONS_NS[unit]}{unit}"
    return "0s" if duration_ns == 0 else f"{duration_ns}ns"


def counted(number: int, noun: str) -> str:
    """The number with its noun: `1 VM`, `4 VMs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
