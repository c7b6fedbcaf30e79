"""`loadgen http`: the general load generator, for any URLs."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from coordinator.cli.body import Body, with_body
from coordinator.cli.engine_options import engine_options, sending, source_option
from coordinator.cli.find_options import check_find, find_options, find_rate, how_to_repeat
from coordinator.cli.fleet_options import check_installed, engines_here, fleet_options, take_choice
from coordinator.cli.headroom_options import AGAIN, headroom_experiment, headroom_option
from coordinator.cli.http_files import read_data_file, read_requests, read_urls
from coordinator.cli.http_options import MAX_TIME, default_engines, route_fields, route_options, tls_fields, tls_options
from coordinator.cli.options import DURATION, FILE, Parsed, UrlText, result_options
from coordinator.cli.panels import command, option
from coordinator.cli.plan_options import Start, override, plan_options, show_plan, start_from
from coordinator.cli.playing import play
from coordinator.cli.repeat_options import repeated, repeats_option
from coordinator.cli.resolve_options import resolve_options, resolving
from coordinator.cli.watch_options import watch_options
from coordinator.output.web.watch import Watch
from coordinator.run.ready import check_credentials, with_data
from loadgen.model.errors import PlanError
from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_request import HttpRequest
from loadgen.model.http_secrets import filled, without_secrets
from loadgen.model.stages import Stage, parse_stages
from loadgen.model.statuses import parse_statuses
from loadgen.model.units import parse_per_s

_ASKED, _LOAD, _JUDGED, _RESULT = "Requests", "Load", "Objectives", "Result"
_MASKED = "Secrets are masked (***). Give them again when the plan is played, or print it with --record-secrets."


def _slo(text: str) -> str:
    from loadgen.verdict.slo import Slo

    Slo.parse(text)
    return text.strip()


def _statuses(text: str) -> str:
    parse_statuses(text)
    return text.strip()


@command()
@click.argument("urls", nargs=-1, metavar="[URL]...", type=UrlText())
@option(
    "--requests",
    "requests_file",
    type=FILE,
    metavar="FILE",
    panel=_ASKED,
    help="Requests to send instead of URLs: a TOML file with [[request]] tables (url, method, headers, body, status, "
    "weight).",
)
@option(
    "--urls",
    "urls_file",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    metavar="FILE",
    panel=_ASKED,
    help="List of URLs, one per line (- for the standard input); a line may also be METHOD URL, and lines with # are "
    "comments.",
)
@option(
    "-X",
    "-m",
    "--method",
    metavar="METHOD",
    panel=_ASKED,
    help="Method of the requests; the reply to HEAD has no body.  [default: GET]",
)
@option(
    "-H",
    "--header",
    "headers",
    multiple=True,
    metavar="'NAME: VALUE'",
    panel=_ASKED,
    help="Header to add to the requests; Host replaces that of the URL. Can be given several times.",
)
@option(
    "--body",
    type=Body(),
    metavar="TEXT|@FILE",
    panel=_ASKED,
    help="Body of the requests, or the file that holds it (@- for stdin), which may be binary. Without --method, the "
    "requests become POST.",
)
@option(
    "--data",
    type=FILE,
    metavar="FILE.csv",
    panel=_ASKED,
    help="CSV file with a line of column names: each request takes the next row, and {{NAME}} in URLs, headers and "
    "bodies stands for a column. Other values: {{n}}, {{uuid}}, {{random:1..100}}, {{timestamp}}, {{connection}}.",
)
@option(
    "--expect",
    type=Parsed("statuses", _statuses),
    metavar="STATUSES",
    panel=_ASKED,
    help="Expected statuses, like 200,204,3xx or 200-299; others are errors.  [default: 200-399]",
)
@option(
    "--keepalive/--no-keepalive",
    "keepalive",
    default=None,
    panel=_ASKED,
    help="Keep TCP connections for further requests, or open one for each request.  [default: keepalive]",
)
@route_options
@tls_options
@option(
    "--http2/--http1",
    default=None,
    panel=_ASKED,
    help="Speak HTTP/2 with the Python engine (https: agreed by ALPN; http: by prior knowledge), or HTTP/1.1.  "
    "[default: http1]",
)
@option(
    "-c",
    "--connections",
    type=int,
    metavar="N",
    panel=_LOAD,
    help="Simultaneous connections, to all targets together; at least one per target.  [default: 64, or fewer with -n]",
)
@option(
    "-n",
    "--number",
    type=click.IntRange(min=1),
    metavar="N",
    panel=_LOAD,
    help="Requests to send, over all connections, engines and machines; then the run ends.  [default: as many as the "
    "duration allows]",
)
@option(
    "-d",
    "--duration",
    type=DURATION,
    panel=_LOAD,
    help="Measured window, at least 1s; with -n, its longest length.  [default: 10s; with -n: 1h]",
)
@option(
    "--streams",
    type=int,
    metavar="N",
    panel=_LOAD,
    help="Requests at once on each connection, with --http2: 1 to 10000.  [default: 1]",
)
@option(
    "--warmup", type=DURATION, panel=_LOAD, help="Load before the measured window that is not judged.  [default: 0s]"
)
@option(
    "--rate",
    type=Parsed("rate", parse_per_s),
    metavar="N/s",
    panel=_LOAD,
    help="Rate at which requests are due, whether or not earlier ones were answered (open loop), up to 10000000/s. "
    "Response times count from when a request was due.  [default: each connection as fast as it can]",
)
@option(
    "--stages",
    type=Parsed("stages", parse_stages),
    metavar="T:N/s,...",
    panel=_LOAD,
    help="Rate that changes, instead of --rate and --duration: 10s:100/s ramps in 10 s to 100/s, from the rate before "
    "(at first 0); 10s@100/s is 10 s at 100/s.",
)
@option(
    "--poisson/--evenly",
    default=None,
    panel=_LOAD,
    help="Make requests due at random times (a Poisson process), or at even intervals.  [default: evenly]",
)
@option(
    "--max-backlog",
    type=int,
    metavar="N",
    panel=_LOAD,
    help="Requests that may wait for a connection, per engine and target, at least 0; further requests are shed.  "
    "[default: 100000]",
)
@option(
    "--timeout",
    type=DURATION,
    panel=_LOAD,
    help="Time without a byte of the reply after which a request fails; more than 0s.  [default: 10s]",
)
@resolve_options(_LOAD)
@option(
    "-t",
    "--max-time",
    type=MAX_TIME,
    metavar="DURATION",
    panel=_LOAD,
    help="Time from sending a request to the end of its reply, after which it fails.  [default: no limit]",
)
@source_option(_LOAD)
@option("--seed", type=int, metavar="N", panel=_LOAD, help="Seed of the random choices.  [default: 1]")
@engine_options("one per core but one")
@headroom_option
@fleet_options
@option(
    "--slo",
    "slos",
    type=Parsed("objective", _slo),
    multiple=True,
    metavar="OBJECTIVE",
    panel=_JUDGED,
    help="Objective like p99<50ms, p99.9<=1s, mean<5ms, max<2s, errors<0.1%, shed<1%, rate>4500/s; when it is missed, "
    "the exit code is 1. Can be given several times.",
)
@find_options(
    "Find the greatest rate at which all objectives (--slo) hold: runs at several rates. Begins at --rate.", "rate"
)
@repeats_option
@plan_options
@option(
    "--hdr",
    type=FILE,
    multiple=True,
    metavar="FILE",
    panel=_RESULT,
    help="File of response times for the tools of HdrHistogram: NAME.hgrm (percentiles) or NAME.hlog (second by "
    "second). Can be given several times.",
)
@option(
    "--record-secrets",
    is_flag=True,
    panel=_RESULT,
    help="Keep Authorization, Cookie and other secrets in the record and in printed plans; without it, they are ***.",
)
@watch_options
@result_options("http")
def http(
    urls: tuple[str, ...],
    plan_file: Path | None,
    replay: Path | None,
    print_plan: bool,
    record_secrets: bool,
    check_headroom: bool,
    hdr: tuple[Path, ...],
    out: Path | None,
    as_json: bool,
    watch: Watch,
    **given: Any,
) -> int:
    """Measure how fast servers answer: load on any URLs, in a closed or an open loop.

    With several requests, each is sent as often as its weight says, and each target has its own row in the result.
    When the load generator was the bottleneck, the result is INVALID (exit code 3), and says nothing about the servers.
    """
    check_find(given)
    start = start_from("http", plan_file, replay, fleet=True)
    choice = take_choice(given, given["engines"], start)
    plan = make_plan(start, urls, given)
    others = {"--find": given["find"], "--hdr": hdr, "--check-headroom": check_headroom}
    experiment = repeated(given, plan, choice, others=others)
    if check_headroom:
        experiment = headroom_experiment(plan, choice, several=bool(given["find"]))
    elif given["find"]:
        experiment = find_rate(given, plan, choice)
    if hdr:
        from coordinator.output.hdr import check_files

        if several := "--find" * bool(given["find"]) or "--check-headroom" * check_headroom:
            raise PlanError(
                f"--hdr is for one run, but {several} plays several",
                hint="leave --hdr out; afterwards, loadgen show RUN --format hdr writes the log of each run",
            )
        check_files(hdr)
    if print_plan:
        shown = plan if record_secrets else without_secrets(plan)
        comments = ("" if shown == plan else _MASKED, how_to_repeat(given), AGAIN if check_headroom else "")
        return show_plan(shown, choice, comment=" ".join(filter(None, comments)))
    check_credentials(plan)
    check_installed(choice)
    return play(
        experiment,
        fleet=choice,
        out=out,
        as_json=as_json,
        html=given["html"],
        hdr=hdr,
        engines=engines_here(choice, plan.engines),
        shows_secrets=record_secrets,
        watch=watch,
    )


def make_plan(start: Start, urls: tuple[str, ...], given: dict[str, Any]) -> HttpPlan:
    """Return the plan that the options make from `start`.  Raises PlanError."""
    requests = _given_requests(urls, given)
    if given["stages"] and (given["rate"] or given["duration"] is not None):
        raise PlanError(
            "--stages cannot be combined with --rate or --duration",
            hint="the stages have both; 0s:100/s as the first one begins at 100/s",
        )
    plan = start.read(
        _from_dict,
        requests=() if requests is None and not start.sets("requests") else requests,
        connections=given["connections"],
        total_requests=given["number"],
        duration_ns=given["duration"],
        warmup_ns=given["warmup"],
        rate_per_s=given["rate"],
        poisson=given["poisson"],
        max_backlog=given["max_backlog"],
        timeout_ns=given["timeout"],
        http2=given["http2"],
        streams=given["streams"],
        keepalive=given["keepalive"],
        max_time_ns=given["max_time"],
        **resolving(given),
        **tls_fields(given),
        **route_fields(given),
        slos=given["slos"] or None,
        engines=given["engines"],
        on_loss=given["on_loss"],
        seed=given["seed"],
        data=read_data_file(given["data"]),
        stages=_stages(start, given),
        **sending(given),
    )
    settled = given["engines"] is not None or start.sets("engines")
    changed = dataclasses.replace(
        plan,
        requests=_changed(plan.requests, given),
        engines=plan.engines if settled else default_engines(plan),
    )
    return with_data(changed)


def _from_dict(data: dict[str, Any]) -> HttpPlan:
    """Return the plan that plain data describes, with checked objectives.  Raises PlanError."""
    plan = HttpPlan.from_dict(data)
    for text in plan.slos:
        _slo(text)
    return plan


def _given_requests(urls: tuple[str, ...], given: dict[str, Any]) -> tuple[HttpRequest, ...] | None:
    """Return the requests of the file, or one for each URL of the command line and of the list.

    None when nothing is given.  Raises PlanError.
    """
    if given["requests_file"] is None:
        listed = read_urls(given["urls_file"]) if given["urls_file"] else ()
        return (*(HttpRequest(url=url) for url in urls), *listed) or None
    if urls or given["urls_file"] or given["method"] or given["headers"] or given["body"] is not None:
        raise PlanError(
            "--requests cannot be combined with URLs, --urls, --method, --header or --body",
            hint="write the whole of each request into the file",
        )
    return read_requests(given["requests_file"])


def _changed(requests: tuple[HttpRequest, ...], given: dict[str, Any]) -> tuple[HttpRequest, ...]:
    """Return the requests with the method, headers, body and statuses that the options give."""
    headers, body = given["headers"], given["body"]
    fields: dict[str, Any] = {} if given["expect"] is None else {"expect": given["expect"], "status": 0}
    if given["method"] is not None:
        fields["method"] = given["method"].upper()
    if not (fields or headers or body is not None):
        return requests
    changed = (override(one, **fields, headers=filled(one.headers, headers) if headers else None) for one in requests)
    return tuple(with_body(one, body, keep_method=given["method"] is not None) for one in changed)


def _stages(start: Start, given: dict[str, Any]) -> tuple[Stage, ...] | None:
    """Return the stages of the command line; none when it gives a rate or a duration instead of those of the plan."""
    if start.sets("stages") and (given["rate"] or given["duration"] is not None):
        return ()
    return given["stages"] or None
