"""The plan's settings for sending reach every engine."""

from __future__ import annotations

import numpy as np

from coordinator.kinds.spec.kind import SpecKind
from coordinator.run.tapes import assignments
from loadgen.engine.api import EngineKind, Timestamps
from loadgen.model.plan import SpecPlan
from loadgen.model.target import Target
from loadgen.schedule.placement import Placement
from workloads.specweb99.compile import compile_tape


def test_engine_time_stamps_and_sources_reach_every_engine() -> None:
    plan = SpecPlan(
        vms=1, connections=2, engines=2, engine=EngineKind.PYTHON, timestamps=Timestamps.LOOP, sources=("127.0.0.2",)
    )
    placement = Placement(("local/0", "local/1"), np.array([0, 1], dtype=np.int32))
    target = Target(name="vm01", host="127.0.0.1", port=80)
    kind = SpecKind()
    for one in assignments(kind, plan, kind.asked(plan, (target,)), placement, compile_tape(plan)):
        assert (one.load.engine, one.load.timestamps) == (EngineKind.PYTHON, Timestamps.LOOP)
        assert one.load.sources == ("127.0.0.2",)
