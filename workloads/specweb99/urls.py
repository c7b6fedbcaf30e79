"""The texts of requests: paths, query strings, bodies and commands."""

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
"""The path of the command Fetch; the reply is the POST log in a page."""

_FILE = re.compile(r"/file_set/dir([0-9]{5})/class([0-3])_([0-8])")
_RESET = re.compile(
    r"command/Reset&maxload=([0-9]{1,6})&pttime=([0-9]{1,8})&maxthread=([0-9]{1,6})&exp=([0-9]{1,3}),([0-9]{1,3})"
    r"&urlroot=[!-~]{0,256}"
)


def file_path(directory: int, class_: int, num: int) -> str:
    """The path of a file in requests: its name below the document root, after a slash."""
    return f"/{files.name(directory, class_, num)}"


def parse_file_path(path: str) -> tuple[int, int, int] | None:
    """(directory, class, number) of a path that :func:`file_path` can make; None for every other text.

    Only accepted paths are used to open files, so no request can leave the document root.
    """
    match = _FILE.fullmatch(path)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def post_body(directory: int, class_: int, num: int, client: int) -> str:
    """The body of a POST.  `client` may have up to 10 digits."""
    return f"urlroot={URL_ROOT}&dir={directory:05d}&class={class_}&num={num}&client={client}"


def parse_post_body(body: bytes) -> tuple[int, int, int, int] | None:
    """(directory, class, number, client) of a POST body, with its fields in any order; None for other text."""
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
    """The number of users of the load: the number of connections of the VM that has most of them.

    All VMs get the same data files, so that one tape fits all.  Raises PlanError for more than ads.MAX_USERS.
    """
    weights = [target.weight for target in plan.targets] or [1] * plan.vms
    count = max(share_out(plan.total_connections, weights))
    if count > ads.MAX_USERS:
        raise PlanError(
            f"{count} connections to one VM are too many: at most {ads.MAX_USERS} can be numbered",
            hint="spread the connections over more VMs",
        )
    return count


def directories(plan: SpecPlan) -> int:
    """The number of directories that the file set of every VM must have."""
    return files.directories(users(plan))


def reset_command(plan: SpecPlan) -> str:
    """The path of the command that empties a server's POST log and makes the data files that the tape expects.

    The windows of expired ads follow from the seed; dates are relative to the clock of the server.  Ads expire after
    twice the duration of the whole run, so none expires before the next Reset.
    """
    first, second = ads.windows(plan.seed)
    run_s = sum(plan.phases.length_ns(i) for i in range(plan.phases.iterations)) // NS_PER_S + 3600
    count = users(plan)
    return (
        f"{COMMAND}?command/Reset&maxload={count}&pttime={run_s}&maxthread={count}&exp={first},{second}"
        f"&urlroot={URL_ROOT}"
    )


def parse_reset(query: str, now_s: int) -> ads.AdTables | None:
    """The tables that the query string of a Reset asks for; None for other text, and for numbers out of range."""
    match = _RESET.fullmatch(query)
    if match is None:
        return None
    maxload, pttime, maxthread, first, second = (int(group) for group in match.groups())
    count = max(maxload, maxthread)
    if not 1 <= count <= ads.MAX_USERS or max(first, second) >= ads.ADS:
        return None
    return ads.make_tables(count, maxthread, (first, second), now_s, pttime)


def expected_ads(plan: SpecPlan) -> ads.Expected:
    """The replies to CAD requests of a server that got :func:`reset_command`."""
    tables = parse_reset(reset_command(plan).partition("?")[2], now_s=0)
    assert tables is not None  # parse_reset reads what reset_command writes
    return ads.expected(tables, now_s=0)
