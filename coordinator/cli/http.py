"""`loadgen http`: the general generator, for any URLs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import rich_click as click
import tomli_w

from coordinator.cli.engine_options import engine_options, sending, source_option
from coordinator.cli.fleet_options import fleet_options, take_choice
from coordinator.cli.options import Parsed
from coordinator.experiment.once import Once
from coordinator.experiment.session import Session, run_session
from coordinator.fleet.choice import WayKind
from coordinator.output.hdr import check_files
from coordinator.output.streams import printing
from coordinator.record.header import KIND_HTTP
from loadgen.agent.extra import require_fleet
from loadgen.model.errors import PlanError
from loadgen.model.http_plan import HttpPlan, HttpRequest
from loadgen.model.plan import OnLoss
from loadgen.model.units import parse_duration_ns, parse_per_s
from loadgen.verdict.slo import Slo
from workloads.http.requests import parse_requests

_DURATION = Parsed("duration", parse_duration_ns)
_ASKED, _LOAD, _ENGINE, _JUDGED, _RESULT = "What is asked", "Load", "Engines", "What is good enough", "Result"


def _slo(text: str) -> str:
    Slo.parse(text)
    return text.strip()


@click.command()
@click.argument("urls", nargs=-1, metavar="URL...")
@click.option(
    "--requests",
    "requests_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    panel=_ASKED,
    help="Instead of URLs: TOML with [[request]] tables (url, method, headers, body, status, weight).",
)
@click.option("--method", metavar="METHOD", panel=_ASKED, help="Of the URLs given.  [default: GET]")
@click.option("-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", panel=_ASKED, help="A header more.")
@click.option("--body", metavar="TEXT", panel=_ASKED, help="The body of each request.")
@click.option("--insecure", is_flag=True, panel=_ASKED, help="Take any certificate.  [default: verify]")
@click.option(
    "-c", "--connections", type=int, metavar="N", panel=_LOAD, help="Connections, all together.  [default: 64]"
)
@click.option("-d", "--duration", type=_DURATION, panel=_LOAD, help="The measured window.  [default: 10s]")
@click.option("--warmup", type=_DURATION, panel=_LOAD, help="Load before it that is not judged.  [default: 0s]")
@click.option(
    "--rate",
    type=Parsed("rate", parse_per_s),
    metavar="N/s",
    panel=_LOAD,
    help="Requests are due at this rate, whatever became of those before (open loop), and their times count from "
    "when they were due.  [default: each connection as fast as it can]",
)
@click.option("--poisson", is_flag=True, panel=_LOAD, help="Due at random at that rate, not evenly.")
@click.option(
    "--max-backlog",
    type=int,
    metavar="N",
    panel=_LOAD,
    help="So many requests may wait for a connection, of each engine and target; more are shed.  [default: 100000]",
)
@click.option(
    "--timeout", type=_DURATION, panel=_LOAD, help="A request fails when no byte comes for this long.  [default: 10s]"
)
@source_option(_LOAD)
@click.option("--seed", type=int, metavar="N", panel=_LOAD, help="Of what is random.  [default: 1]")
@click.option(
    "--engines",
    type=int,
    metavar="N",
    panel=_ENGINE,
    help="Engine processes, on each machine.  [default: one per core but one]",
)
@engine_options(_ENGINE)
@fleet_options
@click.option(
    "--slo",
    "slos",
    type=Parsed("objective", _slo),
    multiple=True,
    metavar="OBJECTIVE",
    panel=_JUDGED,
    help="Like p99<50ms, p99.9<=1s, mean<5ms, max<2s, errors<0.1%, shed<1%, rate>4500/s. When one is missed, the exit "
    "code is 1.",
)
@click.option("--print-plan", is_flag=True, panel=_RESULT, help="Print the plan as TOML and run nothing.")
@click.option(
    "--hdr",
    type=click.Path(path_type=Path, dir_okay=False),
    multiple=True,
    metavar="FILE",
    panel=_RESULT,
    help="Response times for HdrHistogram's tools: FILE.hgrm (percentiles) or FILE.hlog (second by second).",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIRECTORY",
    panel=_RESULT,
    help="Where the record goes.  [default: runs/<time>-http]",
)
@click.option("--json", "as_json", is_flag=True, panel=_RESULT, help="Print the result as one JSON document.")
def http(
    urls: tuple[str, ...],
    requests_file: Path | None,
    method: str | None,
    headers: tuple[str, ...],
    body: str | None,
    print_plan: bool,
    hdr: tuple[Path, ...],
    out: Path | None,
    as_json: bool,
    **given: Any,
) -> int:
    """How fast do servers answer: load any URLs, in a closed or an open loop.

    Of several requests each goes out as often as its weight says, and each target has its own row in the result. When
    the generator was the limit, the result says so (INVALID, exit code 3): then the servers do more than is shown.
    """
    choice = take_choice(given, given["engines"])
    requests = _requests(urls, requests_file, method, headers, body)
    plan = _plan(requests, given)
    check_files(hdr)
    if print_plan:
        with printing():
            sys.stdout.write(tomli_w.dumps(plan.to_dict()))
        return 0
    if choice.way is not WayKind.LOCAL:
        require_fleet("a load machine elsewhere")
    return run_session(
        Session(
            experiment=Once(KIND_HTTP, plan),
            fleet=choice,
            out=out,
            hdr=hdr,
            form="json" if as_json else "text",
            command_line=tuple(sys.argv),
        )
    )


def _requests(
    urls: tuple[str, ...], file: Path | None, method: str | None, headers: tuple[str, ...], body: str | None
) -> tuple[HttpRequest, ...]:
    """Those of the file, or one for each URL."""
    if file is None:
        return tuple(
            HttpRequest(url=url, method=(method or "GET").upper(), headers=headers, body=body or "") for url in urls
        )
    if urls or method or headers or body:
        raise PlanError("--requests is given beside URLs or parts of a request", hint="write all of it into the file")
    try:
        return parse_requests(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise PlanError(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PlanError(f"{file} is not TOML: {error}") from error
    except PlanError as error:
        raise PlanError(f"{file}: {error.message}", hint=error.hint) from error


def _plan(requests: tuple[HttpRequest, ...], given: dict[str, Any]) -> HttpPlan:
    connections = 64 if given["connections"] is None else given["connections"]
    chosen = {
        "duration_ns": given["duration"],
        "warmup_ns": given["warmup"],
        "rate_per_s": given["rate"],
        "max_backlog": given["max_backlog"],
        "timeout_ns": given["timeout"],
        **sending(given),
        "on_loss": OnLoss(given["on_loss"]) if given["on_loss"] else None,
        "seed": given["seed"],
    }
    return HttpPlan(
        requests=requests,
        connections=connections,
        poisson=given["poisson"],
        tls_verify=not given["insecure"],
        slos=given["slos"],
        engines=given["engines"] or _engines(requests, connections, bool(given["rate"])),
        **{name: value for name, value in chosen.items() if value is not None},
    )


def _engines(requests: tuple[HttpRequest, ...], connections: int, open_loop: bool) -> int:
    """One for each core but the coordinator's; in an open loop each needs a connection to every target."""
    if not requests or connections < 1:
        return 1
    fewest = min(HttpPlan(requests=requests, connections=connections).shares) if open_loop else connections
    return max(1, min(len(os.sched_getaffinity(0)) - 1, fewest))
