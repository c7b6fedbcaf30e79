"""Plays one round of `loadgen relative`: a trial in each environment, each in fresh VMs."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import time
from collections.abc import Sequence
from pathlib import PurePath

from coordinator.kinds.relative.numbers import NoNumberError, last_lines, read_numbers
from coordinator.kinds.relative.order import order_of
from coordinator.kinds.relative.recipes import RECIPES
from coordinator.output.terminal.relative_live import RelativeProgress
from coordinator.run.api import Around, Stage
from deploy.commands.api import Place, Ran
from deploy.commands.catalog import choose
from loadgen.host.others import others_between
from loadgen.host.processes import take_sample
from loadgen.measure.trials import Copy, Round, Trial
from loadgen.model.errors import TargetError
from loadgen.model.limits import VmLimits
from loadgen.model.relative import Metric, RelativePlan
from loadgen.model.units import NS_PER_S, format_duration

_SHELL = "/bin/sh"
_NOT_FOUND = 127
_SHOWN_LINES = 10
_MOST_CHARS = 200


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What each VM does: `prepare` is a text for /bin/sh that is not measured, empty for nothing."""

    prepare: str
    command: tuple[str, ...]
    metrics: tuple[Metric, ...]


def work_of(plan: RelativePlan) -> Work:
    """The commands of a plan, or of its recipe."""
    if not plan.recipe:
        return Work(prepare=plan.prepare, command=plan.command, metrics=plan.metrics)
    recipe = RECIPES[plan.recipe]
    first = f"DURATION_S={max(1, plan.duration_ns // NS_PER_S)}\n"
    prepare = first + recipe.prepare if recipe.prepare else ""
    return Work(prepare=prepare, command=(_SHELL, "-c", first + recipe.run), metrics=recipe.metrics)


class RoundPlayer:
    """Plays the round that `plan` names."""

    def __init__(self, plan: RelativePlan, around: Around) -> None:
        self._plan = plan
        self._around = around
        self._work = work_of(plan)
        self._trials: list[Trial] = []
        self._doing: asyncio.Task[Trial] | None = None
        self.interrupted = False

    def interrupt(self) -> bool:
        """Stop the trial that runs, and leave out the others; False while no trial of any round has been run."""
        if self._doing is None or (self._plan.round == 1 and not self._trials):
            return False
        self.interrupted = True
        self._doing.cancel()
        return True

    async def play(self, stage: Stage[RelativePlan]) -> Round:
        """Run the trials.  Raises TargetError when a command fails or takes too long, or a VM cannot be made."""
        order = order_of(self._plan, self._plan.round)
        began_ns = time.monotonic_ns()
        with stage.around.view:
            if self._plan.round == 1:
                for number in range(1, self._plan.warmups + 1):
                    for environment in order:
                        await self._trial(environment, 0, f"warm-up {number}", stage)
            began_ns = time.monotonic_ns()
            for position, environment in enumerate(order, start=1):
                trial = await self._trial(environment, position, "trial", stage)
                if trial is None:
                    break
                self._trials.append(trial)
                stage.writer.append((trial,))
                self._show(environment, "over")
        return Round(
            number=self._plan.round,
            record=stage.writer.path.name,
            took_ns=time.monotonic_ns() - began_ns,
            complete=len(self._trials) == len(order),
            trials=tuple(self._trials),
        )

    async def _trial(self, environment: str, position: int, what: str, stage: Stage[RelativePlan]) -> Trial | None:
        """Run one trial; None when the user stopped it."""
        if self.interrupted:
            return None
        self._doing = asyncio.create_task(self._explained(environment, position, what, stage))
        try:
            return await self._doing
        except asyncio.CancelledError:
            self._doing.cancel()
            await asyncio.gather(self._doing, return_exceptions=True)  # until nothing of its VMs is left
            if not self.interrupted:
                raise
            return None

    async def _explained(self, environment: str, position: int, what: str, stage: Stage[RelativePlan]) -> Trial:
        try:
            return await self._run(environment, position, what, stage)
        except TargetError as error:
            raise explained(error, environment, self._plan.vm_limits) from None

    async def _run(self, environment: str, position: int, what: str, stage: Stage[RelativePlan]) -> Trial:
        plan, work = self._plan, self._work
        self._show(environment, f"{what}: starting")
        async with choose(environment).places(plan.vms, plan.vm_limits) as made:
            self._learn(environment, made.details, stage)
            if work.prepare:
                self._show(environment, f"{what}: preparing")
                await self._all(environment, made.places, (_SHELL, "-c", work.prepare), "the preparation")
            self._show(environment, f"{what}: running")
            before = await asyncio.to_thread(take_sample)
            ran = await self._all(environment, made.places, work.command, "the command")
            after = await asyncio.to_thread(take_sample)
            share, most = others_between(before, after, (os.getpid(), *made.processes))
            copies = tuple(self._copy(environment, place, one) for place, one in zip(made.places, ran, strict=True))
            self._show(environment, f"{what}: ending")
        return Trial(
            environment=environment,
            round=plan.round,
            position=position,
            copies=copies,
            others_share=share,
            others_most=most,
        )

    async def _all(self, environment: str, places: Sequence[Place], argv: tuple[str, ...], what: str) -> Sequence[Ran]:
        """Run a command in all places at once.  Raises TargetError when it fails in one."""
        ran = await asyncio.gather(*(place.run(argv, self._plan.timeout_ns) for place in places))
        for place, one in zip(places, ran, strict=True):
            if one.timed_out or one.status != 0:
                raise self._failed(environment, place, one, what, argv)
        return ran

    def _copy(self, environment: str, place: Place, ran: Ran) -> Copy:
        try:
            numbers = read_numbers(self._work.metrics, ran.output)
        except NoNumberError as error:
            self._say_output(ran.output)
            raise TargetError(
                f"{self._where(environment, place)}: {error}",
                hint=_last(ran.output) or "the command printed nothing",
            ) from None
        return Copy(vm=place.name, wall_ns=ran.wall_ns, cpu_ns=ran.cpu_ns, numbers=numbers)

    def _failed(self, environment: str, place: Place, ran: Ran, what: str, argv: tuple[str, ...]) -> TargetError:
        self._say_output(ran.output)
        if ran.timed_out:
            limit = format_duration(self._plan.timeout_ns)
            end = f"did not end within {limit} and was killed"
        elif ran.status < 0:
            end = f"was killed by signal {-ran.status}"
        else:
            end = f"failed with exit status {ran.status}"
        hint = f"its last output: {_last(ran.output)}" if _last(ran.output) else "it printed nothing"
        if ran.timed_out:
            hint += "; --timeout sets the limit"
        elif ran.status == _NOT_FOUND and environment != "bare" and PurePath(argv[0]).is_relative_to("/tmp"):
            hint += "; a VM has a /tmp of its own"
        return TargetError(f"{what} {end} in {self._where(environment, place)}", hint=hint)

    def _where(self, environment: str, place: Place) -> str:
        vm = f" ({place.name})" if self._plan.vms > 1 else ""
        return f"{environment}{vm}, round {self._plan.round}"

    def _say_output(self, output: str) -> None:
        for line in last_lines(output, _SHOWN_LINES):
            self._around.say(f"output: {line[:_MOST_CHARS]}")

    def _learn(self, environment: str, details: object, stage: Stage[RelativePlan]) -> None:
        """Put what is known of an environment into the header."""
        known = dict(stage.header.environment.server.get("environments", {}))
        if environment not in known:
            server = {"environments": {**known, environment: details}}
            stage.learn(environment=dataclasses.replace(stage.header.environment, server=server))

    def _show(self, environment: str, doing: str) -> None:
        self._around.view.update(
            RelativeProgress(
                round=self._plan.round,
                rounds=self._plan.trials,
                environments=self._plan.environments,
                environment=environment,
                vms=self._plan.vms,
                doing=doing,
                done=tuple(self._trials),
            )
        )


def explained(error: TargetError, environment: str, limits: VmLimits) -> TargetError:
    """An error of a trial; one of VMs that says nothing more may be due to their limits."""
    if error.hint or not limits.given or environment == "bare":
        return error
    return TargetError(error.message, hint=f"a limit may be too low ({', '.join(limits.given)})")


def _last(output: str) -> str:
    return "".join(last_lines(output, 1))[:_MOST_CHARS]
