"""`loadgen pack`: how many VMs fit onto this machine at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from coordinator.fleet.choice import FleetChoice
from coordinator.kinds.pack.player import PackPlayer
from coordinator.output.terminal.live import View
from coordinator.output.terminal.pack_live import open_pack_view
from coordinator.record.header import Header
from coordinator.record.kinds import KIND_PACK
from coordinator.run.api import Around, Played, Player
from loadgen.measure.packing import Packed, Step
from loadgen.model.pack import PackPlan
from loadgen.verdict.pack import judge_pack
from loadgen.verdict.pack_result import PackResult


class PackKind:
    """Starts VMs until something stops it, and asks all of them at once."""

    name = KIND_PACK

    def settle(self, plan: PackPlan, fleet: FleetChoice | None) -> tuple[PackPlan, tuple[str, ...]]:
        """Return the plan unchanged, because nothing in it depends on this machine."""
        return plan, ()

    def player(self, plan: PackPlan, fleet: FleetChoice | None, around: Around) -> Player[PackPlan, Packed]:
        """Return a player that starts, asks and ends the VMs."""
        return PackPlayer(plan, around)

    def judge(self, played: Played[PackPlan, Packed]) -> PackResult:
        """Return how many VMs answered, the curve of their footprint, and what stopped the packing."""
        return judge_pack(
            played.header.plan,
            played.measured,
            interrupted=played.interrupted,
            notes=played.notes,
            emulated=bool(played.header.environment.server.get("emulated")),
        )

    def rows(self, played: Played[PackPlan, Packed]) -> NDArray[np.void] | None:
        """Return None: there are no connections to list."""
        return None

    def restore(self, header: Header[PackPlan], measured: Iterable[Step]) -> Played[PackPlan, Packed]:
        """Return the steps in the record of an unfinished run."""
        about = header.environment.server
        packed = Packed(
            steps=tuple(measured), driver=str(about.get("driver", "")), server=str(about.get("version", ""))
        )
        return Played(header=header, measured=packed, interrupted=True)

    def open_view(self, console: Console) -> View[Any]:
        """Return the live view: how many VMs run, and what is being done."""
        return open_pack_view(console)
