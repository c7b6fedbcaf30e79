"""`loadgen isolate`: the parts in which it differs from other kinds of runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from coordinator.fleet.choice import FleetChoice
from coordinator.kinds.isolate.player import IsolatePlayer
from coordinator.kinds.isolate.settle import check_confined, check_room
from coordinator.output.terminal.isolate_live import open_isolate_view
from coordinator.output.terminal.live import View
from coordinator.record.header import Header
from coordinator.record.kinds import KIND_ISOLATE
from coordinator.run.api import Around, Played, Player
from loadgen.measure.isolation import Isolated, Phase
from loadgen.model.isolate import IsolatePlan
from loadgen.verdict.isolate import judge_isolate
from loadgen.verdict.isolate_result import IsolateResult


class IsolateKind:
    """Measures a quiet VM, idle and beside each hog."""

    name = KIND_ISOLATE

    def settle(self, plan: IsolatePlan, fleet: FleetChoice | None) -> tuple[IsolatePlan, tuple[str, ...]]:
        """Return the plan unchanged.  Raises PlanError when its hogs are not allowed here, or do not fit."""
        check_confined(plan)
        check_room(plan)
        return plan, ()

    def player(self, plan: IsolatePlan, fleet: FleetChoice | None, around: Around) -> Player[IsolatePlan, Isolated]:
        """Return a player of all phases."""
        return IsolatePlayer(plan, around)

    def judge(self, played: Played[IsolatePlan, Isolated]) -> IsolateResult:
        """Return the latency idle and beside each hog, and whether it may be trusted."""
        return judge_isolate(played.header.plan, played.measured, notes=played.notes)

    def rows(self, played: Played[IsolatePlan, Isolated]) -> NDArray[np.void] | None:
        """Return None: the connections of the web load are in records of their own."""
        return None

    def restore(self, header: Header[IsolatePlan], measured: Iterable[Phase]) -> Played[IsolatePlan, Isolated]:
        """Return the phases in the record of an unfinished run."""
        isolated = Isolated(phases=tuple(measured), about=header.environment.server)
        return Played(header=header, measured=isolated, interrupted=True)

    def open_view(self, console: Console) -> View[Any]:
        """Return the live view: the hog that runs, and what was measured so far."""
        return open_isolate_view(console)
