"""The result of playing several plans in turns: its runs, and the comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from loadgen.model.errors import ExitCode
from loadgen.verdict.compare import Group, compare
from loadgen.verdict.compare_result import Comparison, Limit, Unlike
from loadgen.verdict.repeats import OneOfMany
from loadgen.verdict.result import Verdict
from loadgen.verdict.unlike import unlike


@dataclass(frozen=True, slots=True, kw_only=True)
class Interleaved:
    """`rounds` rounds with one run of each of `plans`, as far as they were played.

    `files` are the names of the plans' files.  `limits`: those of --fail-if-worse.  `environments`: what differs in
    machine and software; None when that is not known, as in records of earlier versions.
    """

    plans: tuple[Any, ...]
    files: tuple[str, ...]
    rounds: int
    limits: tuple[Limit, ...] = ()
    runs: tuple[OneOfMany, ...] = ()
    environments: tuple[Unlike, ...] | None = None

    @property
    def comparison(self) -> Comparison:
        """What the rounds say that have a run of each plan."""
        over = [run for run in self.runs if run.verdict is not Verdict.INTERRUPTED]
        names = [chr(ord("A") + side) for side in range(len(self.plans))]
        groups = [
            Group(name=name, runs=tuple(run for run in over if run.side == side), record=self.files[side])
            for side, name in enumerate(names)
        ]
        return compare(
            groups,
            in_rounds=True,
            limits=self.limits,
            plans=unlike([[plan.to_dict()] for plan in self.plans]),
            environments=self.environments,
            interrupted=len(over) < len(self.runs),
        )

    @property
    def verdict(self) -> Verdict:
        """The verdict of the comparison."""
        return self.comparison.verdict

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the command."""
        return self.verdict.exit_code

    @property
    def reasons(self) -> tuple[str, ...]:
        """The answer in sentences."""
        return self.comparison.reasons
