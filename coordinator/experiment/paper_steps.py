"""The experiments of `loadgen paper`: what is played, and for how long, in each profile."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from coordinator.experiment.api import Experiment as Planner
from coordinator.experiment.find import FindCapacity
from coordinator.experiment.once import Once
from coordinator.experiment.relative import Relative
from coordinator.experiment.sweep import VmSweep
from coordinator.record.find_result import Wanted
from coordinator.record.kinds import KIND_FORWARD, KIND_IPERF, KIND_ISOLATE, KIND_PACK
from deploy.vms.catalog import GIVE_ADDRESSES
from loadgen.model.isolate import IsolatePlan
from loadgen.model.pack import PackPlan
from loadgen.model.paper import Experiment, PaperPlan, Profile
from loadgen.model.plan import QUICK, SpecPlan
from loadgen.model.probe import WINDOWS_BYTES, ForwardPlan, IperfPlan, Link, Mode
from loadgen.model.relative import RelativePlan
from loadgen.model.units import NS_PER_S
from loadgen.verdict.capacity import Search
from workloads import forward, iperf

VMS = (1, 4, 16)
"""The numbers of VMs of Figure 4."""

_CONNECTIONS = 20
_CAPACITY_RUNS = 20
_ISOLATED = {Profile.QUICK: 5 * NS_PER_S, Profile.FULL: 30 * NS_PER_S}
_ISOLATE_EXTRA_NS = 5 * NS_PER_S
_PACKED = {Profile.QUICK: 64, Profile.FULL: 1024}
_PACK_NS = {Profile.QUICK: 10 * NS_PER_S, Profile.FULL: 60 * NS_PER_S}
_POINT_NS = 10 * NS_PER_S
"""Time that a point of a sweep takes beside its phases: servers, compilation, questions to the servers."""


@dataclass(frozen=True, slots=True)
class _Trials:
    """How a recipe is repeated: rounds, its duration, and about how long one trial takes in all."""

    trials: int
    warmups: int
    duration_s: int
    trial_s: int


_TRIALS = {
    Profile.QUICK: {
        Experiment.DBENCH: _Trials(3, 0, 5, 8),
        Experiment.COMPILE: _Trials(3, 1, 5, 6),
        Experiment.MICRO: _Trials(3, 0, 5, 14),
        Experiment.POSTGRESQL: _Trials(2, 0, 5, 16),
    },
    Profile.FULL: {
        Experiment.DBENCH: _Trials(10, 1, 30, 40),
        Experiment.COMPILE: _Trials(10, 1, 5, 6),
        Experiment.MICRO: _Trials(10, 1, 5, 14),
        Experiment.POSTGRESQL: _Trials(5, 1, 20, 60),
    },
}
_POSTGRESQLS = {Profile.QUICK: 4, Profile.FULL: 16}
_LOOPBACK = "127.0.0.1"
_NETWORK = "198.18.0.0/16"
"""Reserved for benchmarks (RFC 2544), and large enough for the steps of a packing."""


@dataclass(frozen=True, slots=True)
class Step:
    """One experiment of the paper: its planner, and about how long it takes in all."""

    planner: Planner[Any]
    about_ns: int


def step_of(plan: PaperPlan, experiment: Experiment) -> Step:
    """The step that plays an experiment.  Equal plans give equal steps."""
    return _STEPS[experiment](plan, experiment)


def _spec(plan: PaperPlan, experiment: Experiment) -> Step:
    driver = "oci" if experiment is Experiment.SPEC_OCI else "" if plan.vm_driver == "local" else plan.vm_driver
    iterations = 3 if plan.profile is Profile.FULL else 1
    base = _spec_plan(plan, driver, vms=VMS[-1], iterations=iterations)
    sweep = VmSweep(base, VMS)
    return Step(sweep, sweep.progress(()).left_ns + len(VMS) * _POINT_NS)


def _capacity(plan: PaperPlan, _: Experiment) -> Step:
    driver = "" if plan.vm_driver == "local" else plan.vm_driver
    base = _spec_plan(plan, driver, vms=1, iterations=1)
    search = Search(start=_CONNECTIONS, repeats=2)
    find = FindCapacity(base, Wanted.CONNECTIONS, search)
    return Step(find, _CAPACITY_RUNS * (base.phases.total_ns + _POINT_NS))


def _spec_plan(plan: PaperPlan, driver: str, *, vms: int, iterations: int) -> SpecPlan:
    return SpecPlan(
        vms=vms,
        vm_driver=driver,
        connections=_CONNECTIONS,
        server=plan.server,
        phases=dataclasses.replace(QUICK, iterations=iterations),
        vm_address=_address(driver),
        engines=min(plan.engines, _CONNECTIONS),
        seed=plan.seed,
    )


def _address(driver: str) -> str:
    """Where VMs listen: each at an address of its own, with a driver that gives them (Apache needs it in ns)."""
    return _NETWORK if driver in GIVE_ADDRESSES else _LOOPBACK


def _tcp(plan: PaperPlan, _: Experiment) -> Step:
    full = plan.profile is Profile.FULL
    duration_ns, repeats = (10 * NS_PER_S, 4) if full else (2 * NS_PER_S, 3)
    if plan.peer:
        other = IperfPlan(host=plan.peer, port=plan.peer_port, duration_ns=duration_ns, repeats=repeats)
        return Step(Once(KIND_IPERF, other), iperf.total_ns(other))
    lab = ForwardPlan(
        links=(Link.GIGE,),
        modes=(Mode.DIRECT,),
        windows_bytes=WINDOWS_BYTES,
        flows=(1,),
        duration_ns=duration_ns,
        repeats=repeats,
        latency_ns=NS_PER_S,
    )
    return Step(Once(KIND_FORWARD, lab), forward.total_ns(lab))


def _forward(plan: PaperPlan, _: Experiment) -> Step:
    full = plan.profile is Profile.FULL
    own = ForwardPlan(
        links=(Link.GIGE,),
        windows_bytes=WINDOWS_BYTES if full else (64 << 10, 128 << 10),
        flows=(1,),
        duration_ns=(10 if full else 2) * NS_PER_S,
        repeats=4 if full else 3,
        latency_ns=NS_PER_S,
    )
    return Step(Once(KIND_FORWARD, own), forward.total_ns(own))


def _pack(plan: PaperPlan, _: Experiment) -> Step:
    driver = "" if plan.vm_driver == "local" else plan.vm_driver
    own = PackPlan(count=_PACKED[plan.profile], vm_driver=driver, server=plan.server, vm_address=_address(driver))
    return Step(Once(KIND_PACK, own), _PACK_NS[plan.profile])


def _isolate(plan: PaperPlan, _: Experiment) -> Step:
    own = IsolatePlan(measure_ns=_ISOLATED[plan.profile], server=plan.server, seed=plan.seed)
    return Step(Once(KIND_ISOLATE, own), len(own.phases) * (own.measure_ns + _ISOLATE_EXTRA_NS))


def _relative(plan: PaperPlan, experiment: Experiment) -> Step:
    how = _TRIALS[plan.profile][experiment]
    own = RelativePlan(
        environments=plan.environments,
        recipe=_RECIPES[experiment],
        trials=how.trials,
        warmups=how.warmups,
        vms=_POSTGRESQLS[plan.profile] if experiment is Experiment.POSTGRESQL else 1,
        duration_ns=how.duration_s * NS_PER_S,
        seed=plan.seed,
    )
    return Step(Relative(own), len(plan.environments) * (how.trials + how.warmups) * how.trial_s * NS_PER_S)


_RECIPES = {
    Experiment.DBENCH: "dbench",
    Experiment.COMPILE: "compile",
    Experiment.MICRO: "micro",
    Experiment.POSTGRESQL: "pgbench",
}

_STEPS: Mapping[Experiment, Callable[[PaperPlan, Experiment], Step]] = {
    Experiment.SPEC: _spec,
    Experiment.SPEC_OCI: _spec,
    Experiment.CAPACITY: _capacity,
    Experiment.TCP: _tcp,
    Experiment.FORWARD: _forward,
    Experiment.PACK: _pack,
    Experiment.ISOLATE: _isolate,
    **dict.fromkeys(_RECIPES, _relative),
}
