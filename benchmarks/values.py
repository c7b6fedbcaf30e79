"""Measures what values that differ by request cost the compiled engine.

Two engine processes alternate on one core (benchmarks/engine_turns.py).  Both send requests of the same length: one the
same text each time, the other with values in it.  Printed is CPU per request with values over that without, and in the
first line the ratio of two engines without values, which shows how exact the method is.

    python benchmarks/values.py [--seconds 6]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import uvloop

from benchmarks.engine_ours import Load, play_async
from benchmarks.engine_responder import Responder, build, serving
from benchmarks.engine_turns import Turns, ratio, take_turns
from coordinator.kinds.http.kind import HttpKind
from coordinator.run.tapes import assignments
from loadgen.engine.api import Assignment, EngineKind
from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_request import HttpRequest
from loadgen.schedule.placement import Placement
from workloads.http.compile import compile_http
from workloads.http.data import read_data

_CONNECTIONS = 64
_BODY_BYTES = 100
_ROWS = 100_000
_SETTLE_S = 0.5
_PLAIN = "?n=1234567&user=user-12345"
_ID = "X-Request-Id: 6f53233b-007b-4164-bbff-5159a325f293"

CASES = (
    ("no values, twice", _PLAIN, _ID),
    ("{{n}}", "?n={{n}}&user=user-12345", _ID),
    ("{{uuid}}", _PLAIN, "X-Request-Id: {{uuid}}"),
    ("a column of 100,000 rows", "?n=1234567&user={{name}}", _ID),
    (
        "all three, {{random}} and {{timestamp}}",
        "?n={{n}}&user={{name}}&r={{random:1..99}}&t={{timestamp}}",
        "X-Request-Id: {{uuid}}",
    ),
)
"""Name, query and header of the requests with values."""


def _plan(responder: Responder, query: str, header: str, file: Path) -> HttpPlan:
    request = HttpRequest(url=f"{responder.url(_BODY_BYTES)}{query}", headers=(header,))
    plan = HttpPlan(requests=(request,), connections=_CONNECTIONS, engine=EngineKind.COMPILED, canary=False)
    return HttpPlan(
        requests=plan.requests,
        connections=plan.connections,
        engine=plan.engine,
        canary=False,
        data=read_data(file)[0],
    )


def _assign(plan: HttpPlan, worker: str) -> Assignment:
    kind = HttpKind()
    placement = Placement((worker,), np.zeros(plan.connections, np.int32))
    (found,) = assignments(kind, plan, kind.asked(plan, plan.targets), placement, compile_http(plan))
    return found


async def _alternate(loads: tuple[Load, Load], responder: Responder, core: int) -> Turns:
    """Both loads at once, each on an engine of its own, in turns."""
    pids: list[asyncio.Future[int]] = [asyncio.get_running_loop().create_future() for _ in loads]

    async def watch(number: int, pid: int, begin_ns: int, end_ns: int) -> Turns | None:
        pids[number].set_result(pid)
        first, second = [await one for one in pids]
        if number:
            return None
        await asyncio.sleep(_SETTLE_S)
        return await take_turns((first, second), responder, core, end_ns)

    played = await asyncio.gather(*(play_async(load, core, partial(watch, at)) for at, load in enumerate(loads)))
    turns = played[0][0]
    assert turns is not None
    return turns


@contextlib.contextmanager
def _rows() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as home:
        file = Path(home) / "users.csv"
        file.write_text("name\n" + "".join(f"user-{number:05}\n" for number in range(_ROWS)))
        yield file


def main() -> int:
    """Measure and print.  Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=6.0, help="length of each comparison")
    options = parser.parse_args()
    core, *others = sorted(os.sched_getaffinity(0))
    if not others:
        raise SystemExit("this benchmark needs two cores")
    os.sched_setaffinity(0, set(others))
    with (
        _rows() as file,
        tempfile.TemporaryDirectory() as home,
        serving(build(Path(home)), others[0]) as responder,
    ):
        for name, query, header in CASES:
            plans = (_plan(responder, _PLAIN, _ID, file), _plan(responder, query, header, file))
            first, second = (
                Load(assign=partial(_assign, plan), lead_s=1.0, window_s=options.seconds) for plan in plans
            )
            turns = uvloop.run(_alternate((first, second), responder, core))
            found = ratio(turns)
            fault = f" ({turns.fault})" if turns.fault else ""
            print(
                f"{name:40} {found['x_wrk']:.3f} (quartiles of turns {found['x_wrk_low']:.3f} to "
                f"{found['x_wrk_high']:.3f}, {len(turns.good)} turns){fault}",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
