"""`loadgen compare`: is one group of runs better or worse than another one?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coordinator.cli.html_option import html_option
from coordinator.cli.options import FILE, Parsed
from coordinator.cli.panels import command, option
from coordinator.cli.repeat_options import MAX_REPEATS
from coordinator.cli.watch_options import watch_options
from coordinator.output.web.watch import Watch
from loadgen.model.errors import PlanError

if TYPE_CHECKING:
    from loadgen.verdict.compare_result import Comparison, Limit

_TURNS, _JUDGED, _RESULT = "Runs in turns", "Judgement", "Result"
_ROUNDS = 10
_MOST_PLANS = 26
_MOST_SHARE = 100.0


def parse_limit(text: str) -> Limit:
    """The limit of a text like `5%` or `p99:10%`.  Raises PlanError."""
    from loadgen.verdict.compare_result import Limit

    name, _, share = text.rpartition(":")
    digits = share.strip().removesuffix("%")
    try:
        percent = float(digits)
    except ValueError:
        percent = -1.0
    if not share.strip().endswith("%") or not 0 <= percent < _MOST_SHARE:
        raise PlanError(
            f"{text!r} is not a limit", hint="give a percentage, 0% to less than 100%: 5%, or of one number: p99:10%"
        )
    return Limit(percent / 100, name.strip())


def _parse_fields(text: str) -> tuple[str, ...]:
    return tuple(field.strip() for field in text.split(",") if field.strip())


@command()
@click.argument("records", nargs=-1, metavar="[RUN]...", type=click.Path(path_type=Path))
@option(
    "--allow-different",
    "allow",
    type=Parsed("fields", _parse_fields),
    multiple=True,
    metavar="FIELD,...",
    panel=_JUDGED,
    help="Fields in which the plans may differ, like requests or phases.measure_ns. Without it, different plans are "
    "refused.",
)
@option(
    "--fail-if-worse",
    "limits",
    type=Parsed("limit", parse_limit),
    multiple=True,
    metavar="[NUMBER:]SHARE",
    panel=_JUDGED,
    help="Exit with 1 when a number is shown to be worse by more than this share, like 5% or p99:10%; the whole "
    "interval must be beyond it. Can be given several times.",
)
@option(
    "--interleave",
    is_flag=True,
    panel=_TURNS,
    help="Play the plans of --plan in turns, and compare them round by round, so that a drift meets all.",
)
@option(
    "--plan",
    "plan_files",
    type=FILE,
    multiple=True,
    metavar="FILE",
    panel=_TURNS,
    help="Plan to play, as loadgen spec or loadgen http prints it with --print-plan; give it once for each plan.",
)
@option(
    "--repeats",
    type=click.IntRange(1, MAX_REPEATS),
    metavar="N",
    panel=_TURNS,
    help=f"Rounds, each with one run of each plan, 1 to {MAX_REPEATS}.  [default: {_ROUNDS}]",
)
@option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIRECTORY",
    panel=_TURNS,
    help="Directory of the record of --interleave.  [default: runs/<time>-spec or runs/<time>-http]",
)
@option(
    "--format",
    "form",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    panel=_RESULT,
    help="Format of the output.",
)
@option("--json", "as_json", is_flag=True, panel=_RESULT, help="Short form of --format json.")
@html_option
@watch_options
def compare(
    records: tuple[Path, ...],
    allow: tuple[tuple[str, ...], ...],
    limits: tuple[Limit, ...],
    interleave: bool,
    plan_files: tuple[Path, ...],
    repeats: int | None,
    out: Path | None,
    form: str,
    as_json: bool,
    html: Path | None,
    watch: Watch,
) -> int:
    """Compare runs: is one group better or worse than the first one, and by how much?

    A RUN is the record of a run, of repeated runs (--repeats), or a directory of records; the runs in it are one group.
    Ratios have intervals of 99 % confidence, which need at least 5 runs on each side. Runs that are not valid do not
    count. With --interleave, plays two plans or more in turns itself.
    """
    from coordinator.output.streams import printing

    as_json = as_json or form == "json"
    if interleave:
        return _in_turns(
            records, allow, limits, plan_files, repeats or _ROUNDS, watch, out=out, as_json=as_json, html=html
        )
    of_turns = {"--plan": plan_files, "--repeats": repeats, "--out": out}
    given = [name for name, value in of_turns.items() if value]
    if given or watch.given:
        names = " and ".join(given) or "--web, --metrics and --otlp"
        raise PlanError(
            f"{names} need{'s' * (len(given) == 1)} --interleave, which plays runs",
            hint="records are compared without it; give --interleave and --plan to play the runs",
        )
    found = _compared(records, tuple(field for fields in allow for field in fields), limits)
    with printing():
        _write(found, as_json=as_json)
    if html is not None:
        from coordinator.output.html.files import write_report

        write_report(html, (), found)
    return int(found.exit_code)


def _in_turns(
    records: tuple[Path, ...],
    allow: tuple[tuple[str, ...], ...],
    limits: tuple[Limit, ...],
    plan_files: tuple[Path, ...],
    rounds: int,
    watch: Watch,
    *,
    out: Path | None,
    as_json: bool,
    html: Path | None,
) -> int:
    from coordinator.cli.fleet_options import check_installed, engines_here
    from coordinator.cli.plan_files import read_plans
    from coordinator.cli.playing import play
    from coordinator.experiment.interleave import Interleave
    from loadgen.verdict.compare import FEWEST_ROUNDS
    from loadgen.verdict.figures import NAMES

    if records or allow:
        raise PlanError(
            "--interleave plays plans, and takes neither records nor --allow-different",
            hint="for example: loadgen compare --interleave --plan a.toml --plan b.toml",
        )
    if not 2 <= len(plan_files) <= _MOST_PLANS:
        raise PlanError(
            f"--interleave needs 2 to {_MOST_PLANS} plans, got {len(plan_files)}", hint="give each by --plan"
        )
    plans, choice = read_plans(plan_files)
    choice.check_several("--interleave", hint="use [fleet] with hosts or a scheduler")
    check_installed(choice)
    experiment = Interleave(plans=plans, files=tuple(map(str, plan_files)), rounds=rounds, limits=limits)
    _check_names(limits, NAMES[experiment.runs])
    if limits and rounds < FEWEST_ROUNDS:
        raise PlanError(
            f"--fail-if-worse needs intervals, and {rounds} rounds give none",
            hint=f"set --repeats to {FEWEST_ROUNDS} or more",
        )
    engines = engines_here(choice, plans[0].engines)
    return play(experiment, fleet=choice, out=out, as_json=as_json, html=html, engines=engines, watch=watch)


def _compared(records: tuple[Path, ...], allow: tuple[str, ...], limits: tuple[Limit, ...]) -> Comparison:
    from coordinator.kinds.catalog import judges
    from coordinator.output.groups import compare_records

    found = compare_records(records, judges(), allow=allow, limits=limits)
    check_limits(limits, found)
    return found


def check_limits(limits: tuple[Limit, ...], found: Comparison) -> None:
    """Raise PlanError when a limit is of a number that the runs do not have."""
    _check_names(limits, tuple(dict.fromkeys(row.name for row in found.rows)))


def _check_names(limits: tuple[Limit, ...], known: tuple[str, ...]) -> None:
    for limit in limits:
        if known and not any(limit.covers(name) for name in known):
            raise PlanError(f"these runs have no number {limit.name!r}", hint=f"they have {', '.join(known)}")


def _write(found: Comparison, *, as_json: bool) -> None:
    if as_json:
        from coordinator.output.streams import write_document
        from coordinator.record.comparison import write_comparison

        write_document(write_comparison(found), sys.stdout)
        return
    from rich.console import Console

    from coordinator.output.terminal.compare_report import print_comparison

    print_comparison(Console(file=sys.stdout), found)
