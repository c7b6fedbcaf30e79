"""Runs an engine on the test's own event loop against servers of the test, and collects all its reports."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from loadgen.engine.api import Arrivals, Assignment, Engine, EngineKind, Load, Segment
from loadgen.engine.choice import choose, make_player, why_not_compiled
from loadgen.engine.player import Player
from loadgen.engine.vitals import Vitals
from loadgen.measure.cells import Cell
from loadgen.measure.fold import fold
from loadgen.measure.ledger import Ledger, Totals
from loadgen.measure.shown import Shown
from loadgen.measure.snapshot import Snapshot
from loadgen.model.bound import Bound
from loadgen.model.outcome import Outcome
from loadgen.model.sending import IpVersion, Resolve
from loadgen.model.shard import Shard
from loadgen.model.target import Target
from loadgen.model.tls import TLS_DEFAULTS, TlsSettings
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.schedule.optape import OpTape

MakeEngine = Callable[[Assignment, asyncio.AbstractEventLoop, Callable[[Segment, str], None]], Engine]


def python_engine(
    assignment: Assignment, loop: asyncio.AbstractEventLoop, ended: Callable[[Segment, str], None]
) -> Engine:
    return Player(assignment, loop, ended, now_ns=time.monotonic_ns, vitals=Vitals())


def compiled_engine(
    assignment: Assignment, loop: asyncio.AbstractEventLoop, ended: Callable[[Segment, str], None]
) -> Engine:
    load = dataclasses.replace(assignment.load, engine=EngineKind.COMPILED)
    assignment = dataclasses.replace(assignment, load=load)
    return make_player(choose(assignment), assignment, loop, ended, Vitals())


_REQUIRED = os.environ.get("CI") == "true"
ENGINES: dict[str, MakeEngine] = {"python": python_engine}
if _REQUIRED or not why_not_compiled():
    ENGINES["compiled"] = compiled_engine

needs_compiled = pytest.mark.skipif("compiled" not in ENGINES, reason=f"the compiled engine: {why_not_compiled()}")
"""By hand it may be missing (a test with this mark says so); in CI it must be there."""


@dataclass
class Played:
    """The reports of an engine: its records and its end."""

    totals: Totals
    snapshots: list[Snapshot] = field(default_factory=list)
    why: str = ""
    played_ns: int = 0  # from the start until the end was told
    done_s: float = 0.0  # after the start; below 0 if the number of operations was not given, or not reached
    remarks: dict[str, int] = field(default_factory=dict)

    def cell(self, window: int = 0, target: int = 0) -> Cell:
        return self.totals.cells[window, target]

    def outcomes(self) -> dict[Outcome, int]:
        """Return the outcomes that occurred, over all windows and targets."""
        total = sum((cell.outcomes for cell in self.totals.cells.values()), np.zeros(len(Outcome), dtype=np.int64))
        return {outcome: int(total[outcome]) for outcome in Outcome if total[outcome]}

    @property
    def shown(self) -> tuple[Shown, ...]:
        """What was seen of failed operations."""
        return tuple(one for snapshot in self.snapshots[1:] for one in snapshot.shown)

    def tallies(self, window: int = 0) -> NDArray[np.void]:
        return self.totals.window_tallies(window)


async def play(
    make: MakeEngine,
    tape: OpTape,
    ports: Sequence[int],
    *,
    shares: Sequence[int] | None = None,
    length_ns: int = 400 * NS_PER_MS,
    window_ns: tuple[int, int] | None = None,
    line_bps: int = 0,
    timeout_ns: int = 2 * NS_PER_S,
    paced_reads: bool = False,
    bound: Bound | None = None,
    shard: Shard | None = None,
    lease_ns: int = 60 * NS_PER_S,
    stop_after_ns: int = 0,
    error_rest_ns: int = 10 * NS_PER_MS,
    arrivals: Arrivals | None = None,
    sources: tuple[str, ...] = (),
    tls_verify: bool = True,
    targets: Sequence[Target] | None = None,
    resolve: Resolve = Resolve.FIRST,
    ip_version: IpVersion = IpVersion.ANY,
    streams: int = 0,
    part: int = 0,
    parts: int = 1,
    requests: int = 0,
    request_ns: int = 0,
    dial: tuple[tuple[str, int], ...] = (),
    tls: TlsSettings = TLS_DEFAULTS,
    start_after_ns: int = 0,
    idle_ns: int = 0,
) -> Played:
    """Play one segment of `length_ns`, `start_after_ns` from now; the window is the whole segment unless given.

    The engine reports `idle_ns` after the end.
    """
    loop = asyncio.get_running_loop()
    finished: asyncio.Future[str] = loop.create_future()
    shares = shares or [tape.starts.shape[1] // len(ports)] * len(ports)
    assignment = Assignment(
        worker="w",
        shard=shard or Shard(tuple(range(sum(shares)))),
        targets=tuple(targets or [Target(name=f"t{i}", host="127.0.0.1", port=port) for i, port in enumerate(ports)]),
        shares=tuple(shares),
        tape=tape,
        load=Load(
            line_bps=line_bps,
            bound=bound or Bound.rate(320_000),
            timeout_ns=timeout_ns,
            paced_reads=paced_reads,
            error_rest_ns=error_rest_ns,
            arrivals=arrivals,
            sources=sources,
            tls_verify=tls_verify,
            resolve=resolve,
            ip_version=ip_version,
            streams=streams,
            part=part,
            parts=parts,
            requests=requests,
            request_ns=request_ns,
            dial=dial,
            tls=tls,
        ),
    )
    engine = make(assignment, loop, lambda segment, why: finished.set_result(why))
    start = time.monotonic_ns() + start_after_ns
    # A late engine may begin operations after the end: they belong to the window, too, if a test names none.
    low, high = window_ns or (0, length_ns + NS_PER_S)
    engine.renew(start + lease_ns)
    engine.start(
        Segment(
            index=0,
            origin_ns=start,
            start_ns=start,
            window_start_ns=start + low,
            window_end_ns=start + high,
            end_ns=start + length_ns,
        )
    )
    if stop_after_ns:
        await asyncio.sleep(stop_after_ns / NS_PER_S)
        engine.stop()
    why = await asyncio.wait_for(finished, (start_after_ns + length_ns) / NS_PER_S + 5)
    ended_ns = time.monotonic_ns()
    await asyncio.sleep(idle_ns / NS_PER_S)
    snapshots = [engine.drain(0), engine.drain(0), engine.drain(1)]
    ledger = Ledger(["w"], len(tape.kinds), len(tape.groups))
    for snapshot in snapshots:
        ledger.receive(snapshot)
    done_s = (engine.done_ns - start) / NS_PER_S
    return Played(ledger.totals(), snapshots, why, ended_ns - start, done_s, dict(engine.take_remarks()))


@contextlib.contextmanager
def records_kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[NDArray[np.void]]]:
    """Yield a list that receives copies of the records of engines when they are folded."""
    kept: list[NDArray[np.void]] = []

    def keeping(records: NDArray[np.void], *arguments: Any, **named: Any) -> Any:
        kept.append(records.copy())
        return fold(records, *arguments, **named)

    with monkeypatch.context() as patched:
        patched.setattr("loadgen.engine.accounts.fold", keeping)
        yield kept
