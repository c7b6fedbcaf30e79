"""Durations, sizes and rates as people write them, and as loadgen prints them.

Every parser raises :class:`PlanError` that quotes the wrong text and gives an example.  Numbers may have a fraction and
an exponent (`1.5`, `.5`, `1e3`).
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
_LONGER = {
    long: short
    for short, words in {"s": "sec secs second seconds", "m": "min mins minute minutes", "h": "hour hours"}.items()
    for long in words.split()
}
_DECIMAL = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
_BINARY = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_MOST_DIGITS = 30  # of a number before its point: more is a mistake, and would take long to compute

MOST_NS = 100 * 365 * 86_400 * NS_PER_S
"""The longest duration, 100 years: a clock time plus this fits in 64 bits."""

_MOST_BPS = 10**18
_MOST_BYTES = 1 << 60

_NUMBER = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_PART = re.compile(rf"({_NUMBER})\s*([a-zA-Zµμ]+)\s*")
_NUMBER_AND_UNIT = re.compile(rf"({_NUMBER})\s*([a-zA-Zµμ/]*)")
_PER = re.compile(rf"({_NUMBER})\s*(?P<multiple>[a-zA-Z]*)\s*(?:/\s*(?P<count>{_NUMBER})?\s*(?P<unit>[a-zA-Z]+))?")

_DURATION_EXAMPLE = "20s, 250ms or 1m30s"
_PER_S_EXAMPLE = "5000/s, 5k/s or 30/m"


def _split(text: str, what: str, example: str) -> tuple[Decimal, str]:
    match = _NUMBER_AND_UNIT.fullmatch(text.strip())
    if match is None:
        raise PlanError(f"{text!r} is not a {what}", hint=f"write it like {example}")
    return parse_number(match[1], text, what), match[2]


def parse_number(number: str, text: str, what: str) -> Decimal:
    """The value of `number`, a part of `text`, which is a `what`.  Raises PlanError when it is absurdly large."""
    value = Decimal(number)
    if value and value.adjusted() >= _MOST_DIGITS:
        raise PlanError(f"{text!r} is not a {what}: the number is too large")
    return value


def _whole(value: Decimal, most: int, text: str, what: str, limit: str) -> int:
    if value > most:
        raise PlanError(f"{text!r} is not a {what}: it is more than {limit}")
    return int(value)


def parse_duration_ns(text: str, *, bare: bool = True) -> int:
    """Nanoseconds of a text like `20s`, `250ms`, `1.5m`, `1m30s`, or seconds without a unit if `bare` allows it."""
    stripped = text.strip()
    if re.fullmatch(_NUMBER, stripped):
        number = parse_number(stripped, text, "duration")
        if not bare and number:
            raise PlanError(f"{text!r} has no unit", hint=f"write {stripped}ms or {stripped}s")
        return _whole(number * NS_PER_S, MOST_NS, text, "duration", "100 years")
    total, longest, at = Decimal(0), 1 << 62, 0
    while (part := _PART.match(stripped, at)) is not None:
        factor = _unit_ns(part[2], text, "duration")
        if factor >= longest:
            raise PlanError(
                f"{text!r} is not a duration: the units must descend", hint=f"write it like {_DURATION_EXAMPLE}"
            )
        total, longest, at = total + parse_number(part[1], text, "duration") * factor, factor, part.end()
    if at == 0 or at < len(stripped):
        raise PlanError(f"{text!r} is not a duration", hint=f"write it like {_DURATION_EXAMPLE}")
    return _whole(total, MOST_NS, text, "duration", "100 years")


def _unit_ns(unit: str, text: str, what: str) -> int:
    name = unit.lower().replace("µ", "u").replace("μ", "u")  # the micro sign and the Greek letter
    factor = _DURATIONS_NS.get(_LONGER.get(name, name))
    if factor is None:
        raise PlanError(f"{text!r} is not a {what}: unknown unit {unit!r}", hint="use ns, us, ms, s, m or h")
    return factor


def parse_rate_bps(text: str) -> int:
    """Bits per second of a text like `400k`, `1.5M`, `400kbit/s`, `400kbps` or `400000` (decimal multiples)."""
    number, unit = _split(text, "rate", "400k or 1.5M (bit/s)")
    for name in ("bit/s", "bps", "b/s", "bit"):  # case matters: B would mean bytes
        if unit.endswith(name):
            unit = unit.removesuffix(name)
            break
    factor = _DECIMAL.get(unit.lower())
    if factor is None:
        raise PlanError(f"{text!r} is not a rate", hint="write it like 400k or 1.5M (bit/s)")
    return _whole(number * factor, _MOST_BPS, text, "rate", "1000000000 Gbit/s")


def parse_per_s(text: str, *, zero: bool = False) -> float:
    """A number per second of a text like `5000/s`, `5k/s`, `30/m`, `300/1m`, `1e3` or `5000`; `zero`: it may be 0.

    `30m` is refused: it may mean 30 a minute, or 30 million.
    """
    match = _PER.fullmatch(text.strip())
    multiple = match["multiple"] if match else ""
    if match is not None and multiple in ("m", "min", "s", "h") and not match["unit"]:
        example = f"{match[1]}/{multiple}"
        more = f", or {match[1]}M/s for millions" if multiple == "m" else ""
        raise PlanError(f"{text!r} is not a rate: {multiple!r} alone is ambiguous", hint=f"write {example}{more}")
    if match is not None and multiple == "m":
        raise PlanError(f"{text!r} is not a rate: 'm' is ambiguous", hint=f"write {match[1]}M/s for millions")
    factor = _DECIMAL.get(multiple.lower())
    if match is None or factor is None:
        raise PlanError(f"{text!r} is not a rate", hint=f"write it like {_PER_S_EXAMPLE}")
    number = parse_number(match[1], text, "rate") * factor
    period = parse_number(match["count"] or "1", text, "rate") * _unit_ns(match["unit"] or "s", text, "rate")
    if not period or not (number or zero):
        raise PlanError(f"{text!r} is not a rate: it must be more than 0", hint=f"write it like {_PER_S_EXAMPLE}")
    return float(number * NS_PER_S / period)


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
    return _whole(number * factor, _MOST_BYTES, text, "size", "1073741824 GiB")


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


def number(value: float) -> str:
    """A number with as many digits as a reader needs, its thousands separated by commas."""
    return f"{value:,.0f}" if abs(value) >= 1000 or float(value).is_integer() else f"{value:.4g}"
