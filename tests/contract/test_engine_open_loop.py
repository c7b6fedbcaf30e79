"""The open loop of every engine: each due operation has exactly one record, and its wait counts as response time."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import selectors
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import pytest
import uvloop
from numpy.typing import NDArray

from deploy.null_responder import null_responder
from loadgen.engine.api import Arrivals
from loadgen.measure.histogram import Histogram, lowest_of
from loadgen.model.errors import FleetError
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.schedule.arrivals import offsets_ns
from tests.support import scripted
from tests.support.calm import in_a_calm_moment
from tests.support.engines import ENGINES, MakeEngine, Played, play, records_kept
from tests.support.scripted import ScriptedServer
from tests.support.tapes import Op, content, make_tape

T = TypeVar("T")


@pytest.fixture(params=sorted(ENGINES))
def engine(request: pytest.FixtureRequest) -> MakeEngine:
    return ENGINES[request.param]


def run(scenario: Callable[[], Awaitable[T]]) -> T:
    async def bounded() -> T:
        return await asyncio.wait_for(scenario(), 60)

    return uvloop.run(bounded())


def arrivals(rate_per_s: float, **options: int | bool) -> Arrivals:
    return Arrivals(
        **{  # type: ignore[arg-type]
            "rate_per_s": rate_per_s,
            "poisson": False,
            "seed": 1,
            "part": 0,
            "parts": 1,
            "max_backlog": 1000,
            **options,
        }
    )


def due_in(given: Arrivals, length_ns: int) -> int:
    return len(
        offsets_ns(
            rate_per_s=given.rate_per_s,
            poisson=given.poisson,
            seed=given.seed,
            part=given.part,
            parts=given.parts,
            length_ns=length_ns,
            ramps=given.ramps,
        )
    )


def at_least(histogram: Histogram, value_ns: int) -> int:
    """The number of values of at least `value_ns`, to the resolution of a bucket."""
    return int(histogram.counts[lowest_of(histogram.indexes.astype(np.int64)) >= value_ns].sum())


@pytest.mark.parametrize("poisson", [False, True])
def test_each_due_operation_is_recorded_once(engine: MakeEngine, poisson: bool) -> None:
    asked = arrivals(1000, poisson=poisson)

    async def scenario() -> tuple[Played, ScriptedServer]:
        async with ScriptedServer(scripted.good) as server:
            return await play(
                engine, make_tape([Op()], 8), [server.port], arrivals=asked, length_ns=200 * NS_PER_MS
            ), server

    played, server = run(scenario)
    outcomes = played.outcomes()
    assert sum(outcomes.values()) == due_in(asked, 200 * NS_PER_MS)
    assert set(outcomes) <= {Outcome.OK, Outcome.CUT}
    assert outcomes[Outcome.OK] <= len(server.requests) <= sum(outcomes.values())
    assert server.connections <= 8
    assert played.why == "complete"


@pytest.mark.parametrize("poisson", [False, True])
def test_a_rate_that_changes_is_played_as_its_schedule_says(
    engine: MakeEngine, poisson: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = dataclasses.replace(
        arrivals(1.0, poisson=poisson, part=1, parts=2),
        ramps=((100 * NS_PER_MS, 0.0, 800.0), (100 * NS_PER_MS, 0.0, 0.0), (100 * NS_PER_MS, 1000.0, 200.0)),
    )

    async def scenario() -> Played:
        async with ScriptedServer(scripted.good) as server:
            return await play(engine, make_tape([Op()], 8), [server.port], arrivals=asked, length_ns=300 * NS_PER_MS)

    with records_kept(monkeypatch) as kept:
        played = run(scenario)
    assert sum(played.outcomes().values()) == due_in(asked, 300 * NS_PER_MS) > 30
    assert set(played.outcomes()) <= {Outcome.OK, Outcome.CUT}
    due = np.sort(np.concatenate(kept)["due_ns"])
    wanted = offsets_ns(
        rate_per_s=0.0, poisson=poisson, seed=1, part=1, parts=2, length_ns=300 * NS_PER_MS, ramps=asked.ramps
    )
    assert np.array_equal(due - due[0], wanted - wanted[0])
    ends = [100 * NS_PER_MS, 200 * NS_PER_MS, 300 * NS_PER_MS]
    by_stage = np.diff(np.searchsorted(wanted, ends), prepend=0).tolist()
    assert {stage: cell.issued for (stage, _), cell in played.totals.stages.items()} == {
        stage: number for stage, number in enumerate(by_stage) if number
    }


def test_a_timer_that_fires_early_loses_no_operation(engine: MakeEngine) -> None:
    class EarlyLoop(asyncio.SelectorEventLoop):
        def call_later(self, delay: float, callback: Any, *arguments: Any, **named: Any) -> asyncio.TimerHandle:  # type: ignore[override]
            return super().call_later(max(0.0, delay - 0.02), callback, *arguments, **named)

    asked = arrivals(1000, poisson=False)

    async def scenario() -> Played:
        async with ScriptedServer(scripted.good) as server:
            return await play(engine, make_tape([Op()], 8), [server.port], arrivals=asked, length_ns=200 * NS_PER_MS)

    with asyncio.Runner(loop_factory=EarlyLoop) as runner:
        played = runner.run(asyncio.wait_for(scenario(), 60))
    assert sum(played.outcomes().values()) == due_in(asked, 200 * NS_PER_MS)
    assert set(played.outcomes()) <= {Outcome.OK, Outcome.CUT}


def test_parts_of_a_rate_add_up_and_each_plays_its_own_rows(engine: MakeEngine) -> None:
    tape = make_tape([Op(path="/a"), Op(path="/b"), Op(path="/c")], 4)

    async def scenario(part: int) -> tuple[Played, ScriptedServer]:
        async with ScriptedServer(scripted.good) as server:
            one = arrivals(300, part=part, parts=3)
            return await play(engine, tape, [server.port], arrivals=one, length_ns=NS_PER_S // 10), server

    for part, path in enumerate(("/a", "/b", "/c")):
        played, server = run(lambda part=part: scenario(part))  # type: ignore[misc]
        assert sum(played.outcomes().values()) == 10
        # Part p plays operations p, p + 3, …, which with three rows is always the same row.
        assert set(server.requests) == {path}


def test_operations_wait_for_a_connection_and_are_shed_beyond_the_backlog(engine: MakeEngine) -> None:
    asked = arrivals(100, max_backlog=3)

    async def scenario() -> Played:
        async with ScriptedServer(scripted.silent) as server:
            return await play(engine, make_tape([Op()], 2), [server.port], arrivals=asked, length_ns=NS_PER_S // 5)

    played = run(scenario)
    outcomes = played.outcomes()
    assert outcomes[Outcome.CUT] + outcomes[Outcome.SHED] == sum(outcomes.values()) == 20
    assert outcomes[Outcome.CUT] >= 2 + 3  # also those that were due while a late engine did not look
    assert outcomes[Outcome.SHED] > 0
    assert played.cell().lateness.total == 2  # only sent operations have a lateness


@in_a_calm_moment
def test_a_rate_beyond_what_the_engine_can_do_leaves_it_time_for_replies(engine: MakeEngine) -> None:
    asked = arrivals(1_000_000, max_backlog=8)
    # A server in this process would wait for the engine.
    with null_responder(0, 1) as port:
        played = run(lambda: play(engine, make_tape([Op(size=0)], 4), [port], arrivals=asked, length_ns=NS_PER_S))
    outcomes = played.outcomes()
    assert sum(outcomes.values()) == due_in(asked, NS_PER_S)
    # An engine without time for replies reads about 128 in a second; the responder needs its share of the core, too.
    assert outcomes.get(Outcome.OK, 0) > 100 * 4


@in_a_calm_moment
def test_a_dead_target_does_not_delay_other_targets(engine: MakeEngine) -> None:
    tape = make_tape([Op(path="/a", target=0), Op(path="/b", target=1)], 4)

    async def scenario() -> Played:
        async with ScriptedServer(scripted.good) as good, ScriptedServer(scripted.silent) as dead:
            ports = [good.port, dead.port]
            return await play(engine, tape, ports, shares=[2, 2], arrivals=arrivals(200), length_ns=NS_PER_S // 5)

    played = run(scenario)
    assert played.cell(target=0).issued == played.cell(target=1).issued == 20
    assert played.cell(target=0).ok >= 17
    assert played.cell(target=1).cut == 20


def test_after_an_early_stop_only_operations_due_by_then_are_recorded(engine: MakeEngine) -> None:
    async def scenario() -> Played:
        async with ScriptedServer(scripted.good) as server:
            tape = make_tape([Op()], 2)
            return await play(
                engine,
                tape,
                [server.port],
                arrivals=arrivals(100),
                length_ns=5 * NS_PER_S,
                stop_after_ns=NS_PER_S // 10,
            )

    played = run(scenario)
    assert played.why == "stopped"
    assert 9 <= sum(played.outcomes().values()) <= 60


@dataclass
class StallingServer:
    """Answers at once, but stalls for `stall_s` after request number `at`, and notes when."""

    at: int
    stall_s: float
    port: int = 0
    began_ns: int = 0
    ended_ns: int = 0
    served: int = 0
    _end: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def running(self) -> Iterator[StallingServer]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
            thread = threading.Thread(target=self._serve, args=(listener,))
            thread.start()
            try:
                yield self
            finally:
                self._end.set()
                thread.join()

    def _serve(self, listener: socket.socket) -> None:
        body = content("/x", 1000)
        reply = scripted.head(len(body)) + body
        with selectors.DefaultSelector() as selector, contextlib.ExitStack() as sockets:
            selector.register(listener, selectors.EVENT_READ)
            while not self._end.is_set():
                for key, _ in selector.select(0.05):
                    if key.fileobj is listener:
                        sock = sockets.enter_context(listener.accept()[0])
                        selector.register(sock, selectors.EVENT_READ)
                        continue
                    sock = key.fileobj  # type: ignore[assignment]
                    try:
                        request = sock.recv(65536)
                    except ConnectionError:
                        request = b""
                    if not request:
                        selector.unregister(sock)
                        continue
                    self.served += 1
                    if self.served == self.at:
                        self.began_ns = time.monotonic_ns()
                        time.sleep(self.stall_s)
                        self.ended_ns = time.monotonic_ns()
                    with contextlib.suppress(ConnectionError):
                        sock.sendall(reply)


def test_every_operation_due_in_a_stall_is_charged_its_wait(
    engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check is exact even on a busy machine, because it uses the times that the server noted."""
    rate, length_ns = 20, 2500 * NS_PER_MS
    server = StallingServer(at=5, stall_s=1.0)

    async def scenario() -> Played:
        tape = make_tape([Op()], 3)
        return await play(engine, tape, [server.port], arrivals=arrivals(rate), length_ns=length_ns)

    with server.running(), records_kept(monkeypatch) as kept:
        played = run(scenario)
    records = np.sort(np.concatenate(kept), order="due_ns")
    due_ns, done_ns = records["due_ns"], records["done_ns"]
    # Every due operation has a record, even if it was due while all three connections were busy.
    assert len(records) == rate * length_ns // NS_PER_S
    assert np.array_equal(due_ns - due_ns[0], offsets_of(rate, length_ns))
    waited = (due_ns >= server.began_ns) & (due_ns < server.ended_ns)
    assert abs(int(waited.sum()) - rate * (server.ended_ns - server.began_ns) / NS_PER_S) <= 1
    assert waited.sum() > 3  # more than there are connections
    answered = records["outcome"] == Outcome.OK
    assert np.all(done_ns[waited & answered] >= server.ended_ns - NS_PER_MS)  # kernel stamps are of another clock
    assert np.all(
        done_ns[waited & ~answered] >= due_ns[0] + length_ns - NS_PER_MS
    )  # cut because the stall took too long
    # The histogram counts the same: all waits of at least the given length.
    response = played.cell().response
    for least_ns in (300 * NS_PER_MS, 700 * NS_PER_MS):
        theirs = int(((done_ns - due_ns)[answered] >= least_ns).sum())
        assert (
            at_least(response, least_ns)
            == theirs
            >= int((waited & answered & (server.ended_ns - NS_PER_MS - due_ns >= least_ns)).sum())
        )


def offsets_of(rate: int, length_ns: int) -> NDArray[np.int64]:
    """The due times of operations at a constant rate, after the first one."""
    found: NDArray[np.int64] = offsets_ns(rate_per_s=rate, poisson=False, seed=0, part=0, parts=1, length_ns=length_ns)
    after_first: NDArray[np.int64] = found - found[0]
    return after_first


def test_sources_are_taken_in_turn(engine: MakeEngine) -> None:
    async def scenario() -> ScriptedServer:
        async with ScriptedServer(scripted.good) as server:
            sources = ("127.0.0.2", "::1", "127.0.0.3")  # an address of another family is used for other targets only
            await play(engine, make_tape([Op()], 4), [server.port], sources=sources, length_ns=NS_PER_S // 10)
            return server

    assert run(scenario).peers == {"127.0.0.2", "127.0.0.3"}


@pytest.mark.parametrize(("source", "word"), [("198.51.100.7", "not an address of this machine"), ("tea", "not an IP")])
def test_a_source_address_of_another_machine_is_refused(engine: MakeEngine, source: str, word: str) -> None:
    async def scenario() -> None:
        await play(engine, make_tape([Op()], 1), [9], sources=(source,))

    with pytest.raises(FleetError, match=word):
        run(scenario)


def test_without_an_expected_status_any_success_is_ok(engine: MakeEngine) -> None:
    async def scenario() -> list[Played]:
        tape = make_tape([Op(status=0, size=5)], 1)
        found = []
        for behaviour in (scripted.good, scripted.error_500):
            async with ScriptedServer(behaviour) as server:
                found.append(await play(engine, tape, [server.port], length_ns=NS_PER_S // 10))
        return found

    good, bad = run(scenario)
    assert set(good.outcomes()) <= {Outcome.OK, Outcome.CUT}
    assert set(bad.outcomes()) <= {Outcome.BAD_STATUS, Outcome.CUT}
