"""The lines of a report on fairness: short when the VMs are even, and with names when they are not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from coordinator.output.terminal import format as fmt
from coordinator.output.terminal.folding import some
from coordinator.output.terminal.intervals import Words
from loadgen.verdict.fair_result import FAIR, UNFAIR, Clients, Differing, Fairness, Starved
from loadgen.verdict.fairness import BY_CHANCE, RATIO, is_unfair

_MOST = 6


def fairness_lines(found: Fairness, words: Words, *, one: str, many: str) -> Iterator[str]:
    """The lines on the fairness of a run; `one` and `many` name its targets: VM, VMs."""
    ratio, chance = found.slowest_over_fastest, found.slowest_over_fastest_by_chance
    yield f"Fairness between the {many}: jain {fmt.ratio(found.jain)}, slowest over fastest {fmt.ratio(ratio)}"
    if not found.verdict:
        if chance is not None:
            word = "UNFAIR" if is_unfair({RATIO: ratio, BY_CHANCE: chance}) else "fair"
            yield f"  ({word}: equal {many} would have at least {fmt.ratio(chance)} in 369 of 370 runs)"
        return
    word = {UNFAIR: "UNFAIR", FAIR: "fair"}.get(found.verdict, "not known whether it is fair")
    if found.starved and not found.differing:  # the numbers beside it look fair
        word += " by the bits received, not by the rates"
    if chance is None:
        yield f"  ({word}: there are too few connections to tell what chance does)"
    else:
        yield f"  ({word}: equal {many} would have at least {fmt.ratio(chance)} in 9,999 of 10,000 runs)"
    for some_vms in (found.differing, found.passing):
        yield from _listed([_differs(each, one, found.iterations) for each in some_vms], many)
    yield from _listed([_starves(each, found.iterations) for each in found.starved], many)
    worst = found.worst_p99
    if worst is not None and (found.verdict == UNFAIR or worst.p99_ms.low > worst.by_chance_ms):
        p99, by_chance = words.short(worst.p99_ms), fmt.millis(worst.by_chance_ms)
        yield f"  Highest p99: {worst.name}, {p99} ms (by chance up to {by_chance} ms)"
    if found.clients is not None:
        yield from _clients(found.clients, found, many)


def _differs(vm: Differing, one: str, of: int) -> str:
    return f"  {vm.name}: {_share(vm)} of the median {one}{_by_chance(vm)}{_when(vm.iterations, of)}"


def _starves(vm: Starved, of: int) -> str:
    return f"  {vm.name} is starved: {vm.received:.1%} of its share of the bits{_when(vm.iterations, of)}"


def _listed(lines: Sequence[str], many: str) -> Iterator[str]:
    yield from lines[:_MOST]
    if len(lines) > _MOST:
        yield f"  and {len(lines) - _MOST:,} more {many}; run.json has all"


def _clients(clients: Clients, found: Fairness, many: str) -> Iterator[str]:
    explained = [
        f"{name} {share:.0%}"
        for name, share in (("engines", clients.explained), (many, found.explained))
        if share is not None
    ]
    variance = f"; of the variance: {', '.join(explained)}" if explained else ""
    if not clients.differing:
        known = clients.slowest_over_fastest_by_chance is not None
        yield f"  Engines: {'no difference beyond chance' if known else 'not known what chance does'}{variance}"
        return
    worst = clients.differing[0]
    names = some([each.name for each in clients.differing])
    yield f"  The client differs: engine {names}"
    yield f"  ({_share(worst)} of the median engine on the same {many}{_by_chance(worst)}{variance})"


def _share(differing: Differing) -> str:
    return f"{differing.share:.1%}"


def _by_chance(differing: Differing) -> str:
    """How far chance goes in the direction in which it differs."""
    far = 1 - differing.chance if differing.share < 1 else 1 + differing.chance
    return f" (chance: {max(0.0, far):.1%})"


def _when(iterations: Sequence[int], of: int) -> str:
    if of == 1:
        return ", in the only iteration"  # whether it lasts is not known
    if len(iterations) == of:
        return f", in all {of} iterations"
    numbers = ", ".join(str(at + 1) for at in iterations)
    return f", in iteration{'s' * (len(iterations) > 1)} {numbers} only"
