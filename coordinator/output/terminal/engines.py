"""The engines of a run, in words: their costs and their time stamps differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from loadgen.measure.events import EngineReady

_TARGETS = 5
_STAMPED = {"kernel": "by the kernel", "loop": "by the event loop"}


def engine_title(engines: Iterable[EngineReady]) -> str:
    """The end of a title: `compiled engine`, or `compiled and python engines`; empty while no engine is known."""
    kinds = sorted({one.engine for one in engines})
    return f"{' and '.join(kinds)} engine{'s' * (len(kinds) > 1)}" if kinds else ""


def engine_lines(engines: Iterable[EngineReady]) -> Iterator[str]:
    """Lines for the report: one for all engines that are alike, with their number when there are several lines."""
    alike = Counter((one.engine, one.timestamps, one.why) for one in engines)
    for (engine, timestamps, why), number in alike.most_common():
        count = f"{number} x " if len(alike) > 1 else ""
        reason = f" ({why})" if why else ""
        yield f"{count}{engine}{reason}, replies stamped {_STAMPED.get(timestamps, timestamps)}"


def address_lines(engines: Iterable[EngineReady]) -> Iterator[str]:
    """Lines for the report: for each target with several addresses, the connections to each; a few targets only."""
    counts: dict[str, Counter[str]] = {}
    for engine in engines:
        for one in engine.addresses:
            counts.setdefault(one.target, Counter())[one.address] += one.connections
    for target, by_address in list(counts.items())[:_TARGETS]:
        used = [f"{address} ({number})" for address, number in by_address.items() if number]
        unused = [address for address, number in by_address.items() if not number]
        yield f"{target}: connections to {', '.join(used)}" + (f"; not used: {', '.join(unused)}" if unused else "")
    if len(counts) > _TARGETS:
        yield f"and {len(counts) - _TARGETS} more targets with several addresses"
