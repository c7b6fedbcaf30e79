"""How operations are spelled: paths, query strings, request bodies and commands."""

from __future__ import annotations

import re

from loadgen.model.errors import PlanError
from loadgen.model.plan import SpecPlan
from loadgen.model.shard import share_out
from loadgen.model.units import NS_PER_S
from workloads.specweb99 import ads, files

DYNAMIC_GET = "/dyn/get"
DYNAMIC_CAD = "/dyn/cad"
DYNAMIC_POST = "/dyn/post"
DYNAMIC_CGI = "/cgi/get"
COMMAND = "/dyn/command"
URL_ROOT = "/file_set/"

FETCH = f"{COMMAND}?command/Fetch"
"""Answers with the POST log, in a page."""

_FILE = re.compile(r"/file_set/dir([0-9]{5})/class([0-3])_([0-8])")
_RESET = re.compile(
    r"command/Reset&maxload=([0-9]{1,6})&pttime=([0-9]{1,8})&maxthread=([0-9]{1,6})&exp=([0-9]{1,3}),([0-9]{1,3})"
    r"&urlroot=[!-~]{0,256}"
)


def file_path(directory: int, class_: int, num: int) -> str:
    """The path of a file below the document root, with a slash before it."""
    return f"/{files.name(directory, class_, num)}"


def parse_file_path(path: str) -> tuple[int, int, int] | None:
    """(directory, class, number) of a path that :func:`file_path` can make; None for every other text.

    Nothing but these texts ever reaches a file system: a path cannot climb out of the document root.
    """
    match = _FILE.fullmatch(path)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def post_body(directory: int, class_: int, num: int, client: int) -> str:
    """The body of a POST.  `client` has up to 10 digits in the server's log."""
    return f"urlroot={URL_ROOT}&dir={directory:05d}&class={class_}&num={num}&client={client}"


def parse_post_body(body: bytes) -> tuple[int, int, int, int] | None:
    """(directory, class, number, client) of a POST body, its fields in any order; None when it is none."""
    pairs = [pair.partition(b"=") for pair in body.split(b"&", 5)]
    fields = {key: value for key, _, value in pairs}
    client = fields.get(b"client", b"")
    if len(pairs) != 5 or fields.keys() != {b"urlroot", b"dir", b"class", b"num", b"client"}:
        return None
    if not re.fullmatch(rb"[0-9]{1,10}", client):
        return None
    path = b"%bdir%b/class%b_%b" % (fields[b"urlroot"], fields[b"dir"], fields[b"class"], fields[b"num"])
    file = parse_file_path(path.decode("latin-1"))
    return (*file, int(client)) if file else None


def users(plan: SpecPlan) -> int:
    """How many users the load takes part as: the connections of the VM that has most of them.

    Every VM is given the same data files, so that one tape fits all.  Raises PlanError when the data
    files cannot number so many.
    """
    weights = [target.weight for target in plan.targets] or [1] * plan.vms
    count = max(share_out(plan.total_connections, weights))
    if count > ads.MAX_USERS:
        raise PlanError(f"{count} connections to one VM; at most {ads.MAX_USERS} can be told apart")
    return count


def directories(plan: SpecPlan) -> int:
    """How many directories the file set of every VM must have."""
    return files.directories(users(plan))


def reset_command(plan: SpecPlan) -> str:
    """The command that makes a server forget its POST log and make the data files that the tape expects.

    The windows of expired ads come from the seed; dates are the server's own, relative to its clock.
    Ads live for twice the whole run, so that none expires before the next Reset.
    """
    first, second = ads.windows(plan.seed)
    run_s = sum(plan.phases.length_ns(i) for i in range(plan.phases.iterations)) // NS_PER_S + 3600
    count = users(plan)
    return (
        f"{COMMAND}?command/Reset&maxload={count}&pttime={run_s}&maxthread={count}&exp={first},{second}"
        f"&urlroot={URL_ROOT}"
    )


def parse_reset(query: str, now_s: int) -> ads.AdTables | None:
    """The tables that a Reset's query string asks for; None when it is none, or its numbers are out of range."""
    match = _RESET.fullmatch(query)
    if match is None:
        return None
    maxload, pttime, maxthread, first, second = (int(group) for group in match.groups())
    count = max(maxload, maxthread)
    if not 1 <= count <= ads.MAX_USERS or max(first, second) >= ads.ADS:
        return None
    return ads.make_tables(count, maxthread, (first, second), now_s, pttime)


def expected_ads(plan: SpecPlan) -> ads.Expected:
    """What a server that was given :func:`reset_command` answers to every CAD request."""
    tables = parse_reset(reset_command(plan).partition("?")[2], now_s=0)
    assert tables is not None  # what reset_command writes, parse_reset reads: see the tests
    return ads.expected(tables, now_s=0)
