"""`loadgen relative`, one round: the kind of run that its experiment plays again and again."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from coordinator.fleet.choice import FleetChoice
from coordinator.kinds.relative.player import RoundPlayer
from coordinator.kinds.relative.recipes import RECIPES, Program
from coordinator.output.terminal.live import View
from coordinator.output.terminal.relative_live import open_relative_view
from coordinator.record.header import Header
from coordinator.record.kinds import KIND_ROUND
from coordinator.run.api import Around, Played, Player
from deploy.commands.catalog import choose
from loadgen.measure.trials import Round, Trial
from loadgen.model.errors import PlanError
from loadgen.model.relative import RelativePlan
from loadgen.verdict.relative import judge_round
from loadgen.verdict.relative_result import RoundResult


class RoundKind:
    """Runs a command once in each environment."""

    name = KIND_ROUND

    def settle(self, plan: RelativePlan, fleet: FleetChoice | None) -> tuple[RelativePlan, tuple[str, ...]]:
        """Return the plan unchanged.  Raises PlanError when an environment or a program is missing on this machine."""
        for name in plan.environments:
            choose(name).check(plan.vm_limits)
        check_programs(plan)
        return plan, ()

    def player(self, plan: RelativePlan, fleet: FleetChoice | None, around: Around) -> Player[RelativePlan, Round]:
        """Return a player for the round."""
        return RoundPlayer(plan, around)

    def judge(self, played: Played[RelativePlan, Round]) -> RoundResult:
        """Return the trials of the round; the experiment compares them."""
        return judge_round(played.measured, interrupted=played.interrupted, notes=played.notes)

    def rows(self, played: Played[RelativePlan, Round]) -> NDArray[np.void] | None:
        """Return None: there are no connections to list."""
        return None

    def restore(self, header: Header[RelativePlan], measured: Iterable[Trial]) -> Played[RelativePlan, Round]:
        """Return the trials in the record of an unfinished round."""
        cut = Round(number=header.plan.round, complete=False, trials=tuple(measured))
        return Played(header=header, measured=cut, interrupted=True)

    def open_view(self, console: Console) -> View[Any]:
        """Return the live view: the environment whose trial runs."""
        return open_relative_view(console)


def check_programs(plan: RelativePlan) -> None:
    """Check that the programs of the command or the recipe are there.  Raises PlanError."""
    if not plan.recipe:
        if shutil.which(plan.command[0]) is None:
            raise PlanError(f"there is no program {plan.command[0]!r}", hint="install it, or give its path")
        return
    if plan.recipe not in RECIPES:
        raise PlanError(f"there is no recipe {plan.recipe!r}", hint=f"choose one of {', '.join(RECIPES)}")
    missing = [program for program in RECIPES[plan.recipe].programs if not _is_there(program)]
    if missing:
        names = ", ".join(program.name for program in missing)
        packages = " ".join(sorted({program.package for program in missing}))
        raise PlanError(f"the recipe {plan.recipe} needs {names}", hint=f"install it (Debian: {packages})")


def _is_there(program: Program) -> bool:
    if shutil.which(program.name):
        return True
    places = program.places.lstrip("/")
    return bool(places) and any((found / program.name).exists() for found in Path("/").glob(places))
