"""Which seconds were disturbed?  Pure.

A second is disturbed when something without a part in the run took time or packets from an engine.  What the load does
itself is no disturbance: its own servers and engines on the same cores, the softirq time of its own traffic, the queue
in which its processes wait for each other, and retransmits and full listen queues, which servers cause as well.  These
numbers are recorded, and judge nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from loadgen.measure.disturbance import EngineSecond, MachineSecond
from loadgen.measure.snapshot import Health
from loadgen.model.units import NS_PER_S

OTHERS = "other processes"


@dataclass(frozen=True, slots=True, kw_only=True)
class DisturbanceRules:
    """The limits of a second.  All are ours, from measurements on two cores (docs/decisions/0033).

    * `max_others_share`: share of the cores that an engine ran on that other processes used; the limit of the check
      "other processes".  Quiet machine: 0 to 5 % in single seconds.  A busy loop on the core of an engine: 25 to 98 %.
    * `max_stolen_share`: the same, taken by the hypervisor.  Quiet machine: up to 0.5 %.
    * `max_throttled_ns`: time in which the CPU quota of a control group kept the engine, or what it waits for, from
      running.  A quota that is not used up stops nothing.
    * `max_waiting_share`: share of the second in which an engine waited for a core, if others used `min_others_share`
      of the core.  An engine that waits for processes of the run only is not disturbed: with its servers on the same
      cores, it waits for a third of the time on a quiet machine.
    * `max_still_share`: share of the second in which the engine was due to run, did not wait for a core, and did not
      run: something had stopped it (Health.still_ns).  Quiet machine: up to 3 %.
    * `max_dropped`: packets that this machine dropped before its TCP saw them.
    * `min_wall_ns`: shares of CPU time are judged if the samples are so far apart.  The kernel counts it in ticks
      of 10 ms, and segments end at any time.
    """

    max_others_share: float = 0.20
    max_stolen_share: float = 0.05
    max_throttled_ns: int = 0
    max_waiting_share: float = 0.20
    min_others_share: float = 0.10
    max_still_share: float = 0.10
    max_dropped: int = 0
    min_wall_ns: int = NS_PER_S // 2


DISTURBANCE_RULES = DisturbanceRules()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """What disturbed a second: `what` was `value`, and `limit` is allowed, both in `unit`.

    `where`: the cores or the engine; empty for the whole machine.  `who`: the process that did it, where it is known.
    """

    what: str
    value: float
    limit: float
    unit: str
    where: str = ""
    who: str = ""


def causes_of(
    second: MachineSecond, health: Mapping[str, Health], rules: DisturbanceRules = DISTURBANCE_RULES
) -> list[Cause]:
    """What disturbed this machine, worst engine only; empty for an undisturbed second.  Unknown numbers accuse nobody.

    `health` is what the machine's engines reported of themselves in the same second, by worker.
    """
    found: dict[str, Cause] = {}
    for engine in second.engines if second.wall_ns >= rules.min_wall_ns else ():
        for cause in _of_engine(engine, health.get(engine.worker), rules):
            if cause.what not in found or cause.value > found[cause.what].value:
                found[cause.what] = cause
    if second.throttled_ns > rules.max_throttled_ns:
        share = 100 * second.throttled_periods / second.periods if second.periods > 0 else 100.0
        found["CPU quota"] = Cause(what="CPU quota", value=share, limit=0.0, unit="% of periods")
    if second.softnet_dropped > rules.max_dropped:
        found["packets dropped"] = Cause(
            what="packets dropped", value=float(second.softnet_dropped), limit=float(rules.max_dropped), unit="packets"
        )
    return list(found.values())


def _of_engine(engine: EngineSecond, health: Health | None, rules: DisturbanceRules) -> Iterator[Cause]:
    cores = f"core{'s' * (len(engine.cores) != 1)} {', '.join(map(str, engine.cores))}"
    others = engine.others_ns / engine.core_ns if engine.core_ns and engine.others_ns >= 0 else 0.0
    stolen = engine.stolen_ns / engine.core_ns if engine.core_ns and engine.stolen_ns >= 0 else 0.0
    if others > rules.max_others_share:
        yield _cause(OTHERS, others, rules.max_others_share, cores, engine.most)
    if stolen > rules.max_stolen_share:
        yield _cause("hypervisor", stolen, rules.max_stolen_share, cores)
    if health is None or health.runqueue_ns < 0:
        return
    # An engine that stood still may report several seconds at once.
    wall_ns = max(health.wall_ns, NS_PER_S)
    waiting, still = health.runqueue_ns / wall_ns, health.still_ns / wall_ns
    if waiting > rules.max_waiting_share and rules.min_others_share < others <= rules.max_others_share:
        yield _cause("waiting for a core", waiting, rules.max_waiting_share, f"engine {engine.worker}", engine.most)
    if still > rules.max_still_share:
        yield _cause("stood still", still, rules.max_still_share, f"engine {engine.worker}")


def _cause(what: str, share: float, limit: float, where: str, who: str = "") -> Cause:
    return Cause(what=what, value=100 * share, limit=100 * limit, unit="%", where=where, who=who)
