"""The light load on the web server of the quiet VM: a run of `loadgen spec` against this one server."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from coordinator.fleet.choice import FleetChoice
from coordinator.kinds.spec.kind import SpecKind
from coordinator.run.api import Around
from coordinator.run.frame import Run
from loadgen.agent.children import EarlyEngines
from loadgen.measure.isolation import Web
from loadgen.model.errors import LoadgenError
from loadgen.model.isolate import IsolatePlan
from loadgen.model.plan import Phases, SpecPlan
from loadgen.model.target import Target
from loadgen.model.units import NS_PER_S
from loadgen.verdict.result import RunResult

_PRIORITY = 1
_DONE = ("conforming", "not conforming")


class _Unseen:
    """A view that shows nothing: that of the whole run stays on the screen."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def update(self, view: Any) -> None:
        """Show nothing."""


def web_plan(plan: IsolatePlan, targets: tuple[Target, ...] = ()) -> SpecPlan:
    """The plan of the load, for these targets."""
    return SpecPlan(
        vms=1,
        targets=targets,
        connections=max(1, plan.connections),
        phases=Phases(
            ramp_up_ns=NS_PER_S, warmup_ns=0, measure_ns=plan.measure_ns, ramp_down_ns=NS_PER_S // 2, iterations=1
        ),
        seed=plan.seed,
    )


async def play_web(plan: IsolatePlan, quiet: Target, directory: Path, cache: Path) -> Web:
    """Load the web server of the quiet VM, with a record of its own in `directory`.

    An error of the load becomes a part of the result.
    """
    with contextlib.ExitStack() as ends:
        with prior():
            early = ends.enter_context(EarlyEngines(1))
        run = Run(
            kind=SpecKind(),
            plan=web_plan(plan, (quiet,)),
            fleet=FleetChoice(),
            directory=directory,
            around=Around(cache=cache, say=_unsaid, progress=_unsaid, view=_Unseen(), early=early),
            command_line=tuple(sys.argv),
        )
        try:
            return summary((await run.run()).result)
        except LoadgenError as error:
            return Web(requested=plan.connections, invalid=error.message)


def summary(result: RunResult) -> Web:
    """The numbers of the load that the report shows."""
    known = result.verdict.value in _DONE
    (row,) = result.targets or (None,)
    spans = row.response_ms if row else None
    return Web(
        requested=row.requested if row else 0,
        errors=sum(row.errors.values()) if row else 0,
        conforming=row.conforming if known and row else None,
        ops_per_s=row.ops_per_s if row else None,
        p50_ms=spans.p50.low if spans and spans.p50 else None,
        p99_ms=spans.p99.low if spans and spans.p99 else None,
        invalid="" if known else "; ".join(result.reasons) or result.verdict.value,
    )


@contextlib.contextmanager
def prior() -> Iterator[None]:
    """Inside the context, processes that this thread starts inherit a real-time priority, where that is allowed.

    The engine of the load needs a core for moments only, and hogs must not delay it: it would be measured with the VM.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(_PRIORITY))
    except OSError:
        yield
        return
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def _unsaid(*_: object) -> None:
    """Say nothing: the view of the whole run says what happens."""
