"""The contract that every engine fulfils, tested with servers whose replies are known."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import numpy as np
import pytest
import uvloop

from loadgen.model.bound import Bound
from loadgen.model.outcome import Outcome
from loadgen.model.shard import Shard
from loadgen.model.units import NS_PER_MS, NS_PER_S
from tests.support import scripted
from tests.support.calm import in_a_calm_moment
from tests.support.engines import ENGINES, MakeEngine, Played, play, records_kept
from tests.support.scripted import Behaviour, ScriptedServer
from tests.support.tapes import Op, make_tape

T = TypeVar("T")


@pytest.fixture(params=sorted(ENGINES))
def engine(request: pytest.FixtureRequest) -> MakeEngine:
    return ENGINES[request.param]


def run(scenario: Callable[[], Awaitable[T]]) -> T:
    async def bounded() -> T:
        return await asyncio.wait_for(scenario(), 60)

    return uvloop.run(bounded())


def outcomes_of(engine: MakeEngine, behaviour: Behaviour, op: Op, **options: Any) -> tuple[Played, ScriptedServer]:
    async def scenario() -> tuple[Played, ScriptedServer]:
        async with ScriptedServer(behaviour) as server:
            return await play(engine, make_tape([op], 2), [server.port], **options), server

    return run(scenario)


def judged(played: Played, how: str) -> int:
    """The operations of all connections in the window, and in the rest of the time: an engine may end late."""
    return sum(int(played.tallies(window)[how].sum()) for window in (0, -1))


RIGHT = {
    "plain": scripted.good,
    "chunked": scripted.chunked,
    "until close": scripted.until_close,
    "interim reply": scripted.interim,
    "byte by byte": scripted.byte_by_byte,
}


@pytest.mark.parametrize("name", RIGHT)
def test_correct_replies_are_ok_in_every_framing(engine: MakeEngine, name: str) -> None:
    played, server = outcomes_of(engine, RIGHT[name], Op(size=900))
    outcomes = played.outcomes()
    assert outcomes[Outcome.OK] >= 2
    assert set(outcomes) <= {Outcome.OK, Outcome.CUT}
    assert outcomes[Outcome.OK] <= len(server.requests) <= outcomes[Outcome.OK] + 2
    assert played.why == "complete"


WRONG: dict[str, tuple[Behaviour, Outcome]] = {
    "500": (scripted.error_500, Outcome.BAD_STATUS),
    "500 with a long page": (scripted.long_500, Outcome.BAD_STATUS),
    "wrong validation byte": (scripted.wrong_bytes, Outcome.BAD_CONTENT),
    "wrong header line": (scripted.wrong_header_line, Outcome.BAD_CONTENT),
    "a byte short": (scripted.too_short, Outcome.BAD_LENGTH),
    "a byte long": (scripted.too_long, Outcome.BAD_LENGTH),
    "closes mid-body": (scripted.truncates, Outcome.CLOSED_EARLY),
    "resets mid-body": (scripted.resets, Outcome.RESET),
    "hangs up": (scripted.hangs_up, Outcome.NO_REPLY),
    "garbage": (scripted.garbage, Outcome.MALFORMED),
    "endless headers": (scripted.endless_headers, Outcome.HEAD_TOO_LARGE),
    "endless body": (scripted.endless_body, Outcome.BAD_LENGTH),
}


@pytest.mark.parametrize("name", WRONG)
def test_each_wrong_answer_has_an_outcome_of_its_own(engine: MakeEngine, name: str) -> None:
    behaviour, expected = WRONG[name]
    played, _ = outcomes_of(engine, behaviour, Op(size=900))
    outcomes = played.outcomes()
    assert outcomes[expected] >= 2
    assert set(outcomes) <= {expected, Outcome.CUT}
    assert judged(played, "bad") == outcomes[expected]
    assert judged(played, "ok") == 0


@pytest.mark.parametrize("behaviour", [scripted.stalls, scripted.silent])
def test_a_server_that_falls_silent_times_out(engine: MakeEngine, behaviour: Behaviour) -> None:
    played, _ = outcomes_of(engine, behaviour, Op(size=900), timeout_ns=100 * NS_PER_MS, length_ns=600 * NS_PER_MS)
    assert played.outcomes()[Outcome.TIMED_OUT] >= 2
    assert set(played.outcomes()) <= {Outcome.TIMED_OUT, Outcome.CUT}


def test_a_refused_connect_is_recorded_and_not_repeated_at_once(engine: MakeEngine) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]

        async def scenario() -> Played:
            return await play(engine, make_tape([Op()], 1), [port], error_rest_ns=100 * NS_PER_MS)

        outcomes = run(scenario).outcomes()
    assert 2 <= outcomes[Outcome.REFUSED] <= 6  # about 5 in 400 ms, with a rest of 100 ms after each
    assert set(outcomes) == {Outcome.REFUSED}


def test_cookies_are_compared(engine: MakeEngine) -> None:
    right, _ = outcomes_of(engine, scripted.with_cookie("found=1&x=2"), Op(cookie=b"found=1&x=2"))
    assert set(right.outcomes()) <= {Outcome.OK, Outcome.CUT}
    wrong, _ = outcomes_of(engine, scripted.with_cookie("found=1&x=3"), Op(cookie=b"found=1&x=2"))
    assert set(wrong.outcomes()) <= {Outcome.BAD_COOKIE, Outcome.CUT}
    missing, _ = outcomes_of(engine, scripted.good, Op(cookie=b"found=1&x=2"))
    assert set(missing.outcomes()) <= {Outcome.BAD_COOKIE, Outcome.CUT}


def test_operations_are_played_in_the_order_of_the_tape_and_wrap_around(engine: MakeEngine) -> None:
    ops = [Op(path=f"/{i}", size=200 + i, close=i % 3 == 2) for i in range(7)]

    async def scenario() -> list[str]:
        async with ScriptedServer(scripted.good) as server:
            await play(engine, make_tape(ops, 1), [server.port], requests=20, length_ns=30 * NS_PER_S)
            assert server.connections >= 3  # a new one after every third operation
            return server.requests

    requests = run(scenario)
    assert len(requests) == 20
    assert requests == [f"/{i % 7}" for i in range(len(requests))]


def test_keep_alive_uses_one_tcp_connection(engine: MakeEngine) -> None:
    played, server = outcomes_of(engine, scripted.good, Op())
    assert played.outcomes()[Outcome.OK] > 10
    assert server.connections == 2
    assert played.cell().connects == 2


@in_a_calm_moment
def test_an_idle_connection_that_the_server_closed_is_opened_anew(engine: MakeEngine) -> None:
    async def closes_soon(path: str, size: int, writer: asyncio.StreamWriter) -> bool:
        await scripted.good(path, size, writer)
        return False

    async def scenario() -> Played:
        async with ScriptedServer(closes_soon) as server:
            # The 50 ms between operations are enough for the close to arrive.
            return await play(engine, make_tape([Op(size=1000)], 1), [server.port], line_bps=160_000)

    outcomes = run(scenario).outcomes()
    assert set(outcomes) == {Outcome.OK}
    assert outcomes[Outcome.OK] >= 4


def test_shards_together_play_each_connection_once(engine: MakeEngine) -> None:
    async def scenario() -> list[set[int]]:
        async with ScriptedServer(scripted.good) as server:
            tape = make_tape([Op()], 7)
            seen = []
            for index in range(3):
                played = await play(
                    engine, tape, [server.port], shard=Shard(tuple(range(index, 7, 3))), length_ns=100 * NS_PER_MS
                )
                seen.append(set(played.tallies()["connection"].tolist()))
            return seen

    assert run(scenario) == [{0, 3, 6}, {1, 4}, {2, 5}]


def test_each_target_gets_its_own_connections_and_host(engine: MakeEngine) -> None:
    async def scenario() -> None:
        async with ScriptedServer(scripted.good) as one, ScriptedServer(scripted.good) as two:
            played = await play(engine, make_tape([Op()], 4), [one.port, two.port], shares=[3, 1])
            assert one.connections == 3
            assert two.connections == 1
            assert set(one.hosts) == {f"127.0.0.1:{one.port}"}
            counted: Counter[int] = Counter()
            for window in (0, -1):  # an engine may end late
                for tally in played.tallies(window):
                    counted[int(tally["connection"]) // 3] += int(tally["ok"])
            cells = Counter[int]()
            for (_, target), cell in played.totals.cells.items():
                cells[target] += cell.ok
            assert counted == cells

    run(scenario)


@in_a_calm_moment
def test_pace_against_a_fast_server_is_the_line_speed(engine: MakeEngine) -> None:
    size = 5_000 - len(scripted.head(4_900))  # 5,000 bytes with the head take 100 ms, so short delays do not matter

    async def scenario() -> Played:
        async with ScriptedServer(scripted.good) as server:
            return await play(
                engine, make_tape([Op(size=size)], 5), [server.port], line_bps=400_000, length_ns=NS_PER_S
            )

    played = run(scenario)
    tallies = played.tallies()
    rates = 8e9 * tallies["bytes"] / tallies["busy_ns"]
    assert len(rates) == 5
    assert np.all(rates <= 400_001)
    assert np.all(rates >= 396_000)
    assert set(tallies["ok"].tolist()) <= {9, 10}


@pytest.mark.parametrize("paced_reads", [False, True])
@in_a_calm_moment
def test_a_reply_slower_than_the_line_is_charged_its_time(engine: MakeEngine, paced_reads: bool) -> None:
    async def scenario() -> Played:
        async with ScriptedServer(scripted.limited(200_000)) as server:
            return await play(
                engine,
                make_tape([Op(size=2000)], 3),
                [server.port],
                line_bps=400_000,
                length_ns=NS_PER_S,
                paced_reads=paced_reads,
            )

    tallies = run(scenario).tallies()
    rates = 8e9 * tallies["bytes"] / tallies["busy_ns"]
    assert np.all(rates < 202_000)
    assert np.all(
        rates > 100_000
    )  # the connection is not charged for more than the server's time, even on a busy machine


def test_paced_reads_do_not_run_ahead_of_the_line(engine: MakeEngine) -> None:
    """A fast server sends a reply at once, but reading it takes as long as the line speed demands."""

    async def scenario() -> Played:
        async with ScriptedServer(scripted.good) as server:
            return await play(
                engine,
                make_tape([Op(size=40_000)], 2),
                [server.port],
                line_bps=800_000,
                length_ns=1500 * NS_PER_MS,
                paced_reads=True,
            )

    played = run(scenario)
    assert set(played.outcomes()) <= {Outcome.OK, Outcome.CUT}
    service_ns = played.cell().service
    fastest_ns = (40_000 - 4096) * 8 * NS_PER_S // 800_000
    assert service_ns.min_ns >= fastest_ns * 0.9
    assert played.cell().outcomes[Outcome.OK] >= 4


def test_times_are_due_sent_done(engine: MakeEngine) -> None:
    async def scenario() -> Played:
        async with ScriptedServer(scripted.delayed(0.05)) as server:
            return await play(engine, make_tape([Op()], 1), [server.port])

    cell = run(scenario).cell()
    assert cell.service.min_ns >= 48 * NS_PER_MS  # a timer of the loop fires up to 1.5 ms early
    assert cell.response.min_ns >= cell.service.min_ns
    assert cell.lateness.total >= cell.response.total > 0


def test_requests_are_judged_by_their_bound(engine: MakeEngine) -> None:
    async def scenario(bound: Bound) -> Played:
        async with ScriptedServer(scripted.delayed(0.05)) as server:
            return await play(engine, make_tape([Op()], 1), [server.port], bound=bound)

    strict = run(lambda: scenario(Bound.time(NS_PER_MS, 40 * NS_PER_MS))).cell()
    assert (strict.good, strict.tolerable) == (0, 0)
    lenient = run(lambda: scenario(Bound.time(NS_PER_MS, 20 * NS_PER_S))).cell()
    assert lenient.good == 0
    assert lenient.tolerable == lenient.outcomes[Outcome.OK] > 0


def test_an_operation_in_progress_at_the_end_is_cut_and_its_bytes_count(engine: MakeEngine) -> None:
    played, _ = outcomes_of(engine, scripted.stalls, Op(size=1000), window_ns=(0, 400 * NS_PER_MS))
    assert played.outcomes() == {Outcome.CUT: 2}
    received = len(scripted.head(1000)) + 500
    assert played.cell().bytes == 2 * received
    tallies = played.tallies()
    # The engine stops a little after the window; only the part inside of the window is the connection's.
    assert np.all((tallies["bytes"] > 0) & (tallies["bytes"] <= received))
    assert np.all((tallies["busy_ns"] >= 390 * NS_PER_MS) & (tallies["busy_ns"] <= 400 * NS_PER_MS))
    assert tallies["ok"].sum() + tallies["bad"].sum() == 0


def test_only_operations_due_in_the_window_are_in_it(engine: MakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> Played:
        async with ScriptedServer(scripted.good) as server:
            return await play(
                engine,
                make_tape([Op(size=1000)], 1),
                [server.port],
                line_bps=400_000,
                length_ns=600 * NS_PER_MS,
                window_ns=(200 * NS_PER_MS, 400 * NS_PER_MS),
            )

    with records_kept(monkeypatch) as kept:
        played = run(scenario)
    inside, outside = played.cell(0).ok, played.cell(-1).ok
    records = np.concatenate(kept)
    after_ns = (records["due_ns"] - records["due_ns"].min())[records["outcome"] == Outcome.OK]
    assert inside == np.count_nonzero((after_ns >= 200 * NS_PER_MS) & (after_ns < 400 * NS_PER_MS)) > 0
    assert outside == len(after_ns) - inside > 0
    assert inside + outside <= 31  # one every 20.8 ms, or fewer if the machine is delayed
    # The connection is always in an operation, so the whole window is its time; the first operation was due before.
    (tally,) = played.tallies(0)
    assert tally["busy_ns"] == 200 * NS_PER_MS
    assert tally["ok"] in (inside, inside + 1)


def test_stop_ends_at_once_and_only_once(engine: MakeEngine) -> None:
    async def scenario() -> tuple[Played, int]:
        async with ScriptedServer(scripted.good) as server:
            played = await play(
                engine, make_tape([Op()], 2), [server.port], length_ns=20 * NS_PER_S, stop_after_ns=100 * NS_PER_MS
            )
            seen = len(server.requests)
            await asyncio.sleep(0.1)
            assert len(server.requests) <= seen + 2  # requests that the kernel had accepted already
            return played, seen

    played, seen = run(scenario)
    assert played.why == "stopped"
    # Each of the two connections has one request in progress, which the server may not have read yet when it is cut.
    assert abs(seen - sum(played.outcomes().values())) <= 2


def test_traffic_stops_by_itself_when_the_lease_runs_out(engine: MakeEngine) -> None:
    async def scenario() -> tuple[Played, float]:
        async with ScriptedServer(scripted.good) as server:
            began = time.monotonic()
            played = await play(
                engine, make_tape([Op()], 2), [server.port], length_ns=20 * NS_PER_S, lease_ns=300 * NS_PER_MS
            )
            return played, time.monotonic() - began

    played, took_s = run(scenario)
    assert played.why == "lease expired"
    assert took_s >= 0.3
    assert played.outcomes()[Outcome.OK] > 0


def test_draining_an_interval_again_repeats_it_and_the_next_is_empty(engine: MakeEngine) -> None:
    async def scenario() -> None:
        async with ScriptedServer(scripted.good) as server:
            played = await play(engine, make_tape([Op()], 2), [server.port])
            first, again, following = played.snapshots
            outcomes = played.outcomes()
            # Cut requests were sent; the server may have read them or not.
            answered = outcomes[Outcome.OK]
            assert answered <= len(server.requests) <= answered + outcomes.get(Outcome.CUT, 0)
            assert set(outcomes) <= {Outcome.OK, Outcome.CUT}
            assert again.to_wire()["cells"] == first.to_wire()["cells"]
            assert again.tallies.tobytes() == first.tallies.tobytes()
            assert not following.cells
            assert not len(following.tallies)

    run(scenario)
