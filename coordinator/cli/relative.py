"""`loadgen relative`: how good is each environment at a command, relative to the first one?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from coordinator.cli.options import DURATION, result_options
from coordinator.cli.panels import command, option
from coordinator.cli.plan_options import Start, plan_options, show_plan, start_from
from coordinator.cli.playing import play
from coordinator.cli.vm_limit_options import chosen_limits, vm_limit_options
from coordinator.cli.watch_options import watch_options
from coordinator.kinds.relative.recipes import RECIPES
from coordinator.output.web.watch import Watch
from deploy.commands.catalog import ENVIRONMENTS
from loadgen.model.entry import choices_help
from loadgen.model.errors import PlanError
from loadgen.model.limits import NO_LIMITS, VmLimits
from loadgen.model.plain import from_plain
from loadgen.model.relative import Better, Metric, RelativePlan
from loadgen.model.units import format_duration

_DEFAULT = RelativePlan(recipe="compile")
_RECIPES = "; ".join(f"{name}: {one.about}" for name, one in RECIPES.items())
_WHAT, _WHERE, _NUMBER, _OFTEN = "Benchmark", "Environments", "What counts", "Trials"


@command()
@click.argument("words", metavar="[-- COMMAND...]", nargs=-1, type=click.UNPROCESSED)
@option(
    "--recipe",
    type=click.Choice(list(RECIPES)),
    panel=_WHAT,
    help=f"Ready benchmark, instead of a command. {_RECIPES}.",
)
@option(
    "--prepare",
    metavar="TEXT",
    panel=_WHAT,
    help="Program for /bin/sh to run in each VM before the command; it is not measured.",
)
@option(
    "--duration",
    type=DURATION,
    panel=_WHAT,
    help="Duration of a trial of the recipes dbench and pgbench, at least 1s.  "
    f"[default: {format_duration(_DEFAULT.duration_ns)}]",
)
@option(
    "--timeout",
    type=DURATION,
    panel=_WHAT,
    help="Time limit of each command; one that takes longer is killed, and the comparison ends.  "
    f"[default: {format_duration(_DEFAULT.timeout_ns)}]",
)
@option(
    "--env",
    "environments",
    type=click.Choice(list(ENVIRONMENTS)),
    multiple=True,
    panel=_WHERE,
    help=f"Environment; repeat it for each. The others are compared with the first. {choices_help(ENVIRONMENTS)}.  "
    f"[default: {', '.join(_DEFAULT.environments)}]",
)
@option(
    "--vms",
    type=int,
    metavar="N",
    panel=_WHERE,
    help="VMs that run the command at once in each trial; in bare, as many directories.  [default: 1]",
)
@vm_limit_options(_WHERE)
@option(
    "--metric",
    "patterns",
    metavar="REGEX",
    multiple=True,
    panel=_NUMBER,
    help="Number in the output that counts, instead of the wall time: the group of a regular expression, such as "
    "'tps = ([0-9.]+)'. With groups `name` and `value`, each match is a number of its own. Repeat it for more.",
)
@option(
    "--better",
    type=click.Choice([better.value for better in Better]),
    panel=_NUMBER,
    help="Whether higher or lower numbers of --metric are better.  [default: higher]",
)
@option("--unit", metavar="TEXT", panel=_NUMBER, help="Unit of the numbers of --metric, for the report.")
@option(
    "--trials",
    type=int,
    metavar="N",
    panel=_OFTEN,
    help=f"Rounds, each with one trial in each environment.  [default: {_DEFAULT.trials}]",
)
@option(
    "--warmups",
    type=int,
    metavar="N",
    panel=_OFTEN,
    help=f"Trials in each environment before the first round, which do not count.  [default: {_DEFAULT.warmups}]",
)
@option(
    "--seed",
    type=int,
    panel=_OFTEN,
    help=f"Seed of the order of the environments in each round.  [default: {_DEFAULT.seed}]",
)
@plan_options
@watch_options
@result_options("relative")
def relative(
    plan_file: Path | None,
    replay: Path | None,
    print_plan: bool,
    out: Path | None,
    as_json: bool,
    watch: Watch,
    **given: Any,
) -> int:
    """Compare environments: run a command many times in each, and say how good each is relative to the first.

    Each trial runs in fresh VMs, in an empty directory. The trials are interleaved: each round has one in each
    environment, in an order that the seed shuffles. A stopped comparison is continued with loadgen resume.
    """
    plan = _plan(start_from("relative", plan_file, replay, fleet=False), given)
    if print_plan:
        return show_plan(plan)
    from coordinator.experiment.relative import Relative

    return play(Relative(plan), out=out, as_json=as_json, html=given["html"], watch=watch)


def _plan(start: Start, given: dict[str, Any]) -> RelativePlan:
    """Return the plan that the options make from `start`.  Raises PlanError."""
    words, recipe = given["words"], given["recipe"]
    if not given["patterns"] and (given["better"] or given["unit"]) and not start.sets("metrics"):
        raise PlanError("--better and --unit describe --metric, which is not given", hint="add --metric REGEX")
    if words or recipe:  # one replaces the other of a plan or a record
        start = _without_work(start)
    base = from_plain(VmLimits, start.data["vm_limits"], "vm_limits") if start.sets("vm_limits") else NO_LIMITS
    limits = chosen_limits(base, given)
    return start.read(
        RelativePlan.from_dict,
        environments=given["environments"] or None,
        command=_located(words) or None,
        recipe=recipe,
        prepare=given["prepare"],
        metrics=_metrics(given) or None,
        trials=given["trials"],
        warmups=given["warmups"],
        vms=given["vms"],
        vm_limits={name: getattr(limits, name) for name in limits.given} or None,
        duration_ns=given["duration"],
        timeout_ns=given["timeout"],
        seed=given["seed"],
        round=0,
    )


def _without_work(start: Start) -> Start:
    """The same start without the command or the recipe, and what belongs to it."""
    data = {
        name: value for name, value in start.data.items() if name not in ("command", "recipe", "prepare", "metrics")
    }
    return Start(data=data, fleet=start.fleet, name=start.name)


def _metrics(given: dict[str, Any]) -> tuple[Metric, ...]:
    better = Better(given["better"] or Better.HIGHER.value)
    patterns = given["patterns"]
    return tuple(
        Metric(
            pattern=pattern,
            better=better,
            name="metric" if len(patterns) == 1 else f"metric {number}",
            unit=given["unit"] or "",
        )
        for number, pattern in enumerate(patterns, start=1)
    )


def _located(words: tuple[str, ...]) -> tuple[str, ...]:
    """The command with the whole path of its program: it is run in another directory."""
    if words and "/" in words[0] and Path(words[0]).exists():
        return (str(Path(words[0]).absolute()), *words[1:])
    return words
