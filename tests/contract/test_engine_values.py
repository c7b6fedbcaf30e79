"""Requests with values, as servers receive them: the same from every engine, and no number twice."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest
import uvloop

from loadgen.engine.api import Arrivals
from loadgen.engine.values import Filler
from loadgen.model.data_file import NO_DATA, DataFile, described, parse_csv
from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_request import HttpRequest
from loadgen.model.outcome import Outcome
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.schedule.optape import OpTape
from tests.support.engines import ENGINES, MakeEngine, Played, play
from tests.support.raw_server import RawServer
from workloads.http.compile import compile_http

T = TypeVar("T")

# The lengths of the bodies have one to three digits.
CSV = b"".join([b"name,text\r\n", *(b'"a %d, b",%s\r\n' % (n, b"x" * length) for n, length in enumerate((1, 60, 99)))])


@pytest.fixture(params=sorted(ENGINES))
def engine(request: pytest.FixtureRequest) -> MakeEngine:
    return ENGINES[request.param]


@pytest.fixture
def data(tmp_path_factory: pytest.TempPathFactory) -> DataFile:
    file = tmp_path_factory.mktemp("data") / "rows.csv"
    file.write_bytes(CSV)
    return described(CSV, parse_csv(CSV, str(file)), str(file))


def run(scenario: Callable[[], Awaitable[T]]) -> T:
    async def bounded() -> T:
        return await asyncio.wait_for(scenario(), 60)

    return uvloop.run(bounded())


def tape_of(*requests: HttpRequest, connections: int = 1, data: DataFile | None = None, seed: int = 1) -> OpTape:
    return compile_http(HttpPlan(requests=requests, connections=connections, seed=seed, data=data or NO_DATA))


def request(path: str = "/", headers: tuple[str, ...] = (), body: str = "", method: str = "POST") -> HttpRequest:
    return HttpRequest(url=f"http://127.0.0.1:1{path}", headers=headers, body=body, method=method)


LONG_NS = 30 * NS_PER_S
"""For tests with a number of requests, which end when these are done."""


def bodies(server: RawServer) -> list[bytes]:
    return [one.partition(b"\r\n\r\n")[2] for one in server.requests]


EVERYTHING = request(
    "/{{name}}/{{random:-20..20}}?n={{n}}&u={{uuid}}&t={{text|url}}",
    headers=("X-Id: {{uuid}}", "X-Name: {{name}}, {{connection}}"),
    body='{{text}}{"id":{{n}},"name":"{{name|json}}","r":[{{random:0..1000000000000000000}}], "two": "{{{{n}}"}',
)


def test_every_engine_sends_what_the_templates_say(engine: MakeEngine, data: DataFile) -> None:
    tape = tape_of(EVERYTHING, data=data)

    async def scenario() -> RawServer:
        async with RawServer() as server:
            await play(engine, tape, [server.port], part=2, parts=5, requests=20, length_ns=LONG_NS)
            return server

    server = run(scenario)
    filler = Filler(tape.values, part=2, parts=5)
    host = f"Host: 127.0.0.1:{server.port}\r\n".encode()
    assert len(server.requests) == 20
    assert server.requests == [filler.write(1, host, 0) for _ in server.requests]


def test_the_values_of_the_first_requests_are_these(engine: MakeEngine, data: DataFile) -> None:
    async def scenario() -> RawServer:
        async with RawServer() as server:
            await play(engine, tape_of(EVERYTHING, data=data), [server.port], requests=2, length_ns=LONG_NS)
            return server

    first, second = run(scenario).requests
    assert first.startswith(b"POST /a%200%2C%20b/")
    assert re.search(rb"\?n=0&u=[0-9a-f-]{36}&t=x HTTP/1.1\r\nHost: 127", first)
    assert b"\r\nX-Name: a 1, b, 0\r\n" in second
    assert second.partition(b"\r\n\r\n")[2].startswith(b"x" * 60 + b'{"id":1,"name":"a 1, b","r":[')
    assert second.endswith(b'], "two": "{{n}}"}')
    found = re.findall(rb"[0-9a-f]{8}-[0-9a-f-]{27}", first + second)
    assert len(set(found)) == 4
    assert all(uuid.UUID(one.decode()).version == 4 and str(uuid.UUID(one.decode())) == one.decode() for one in found)


@pytest.mark.parametrize("longest", [0, 7, 8, 90, 900])
def test_the_length_of_each_body_is_right(engine: MakeEngine, tmp_path: Path, longest: int) -> None:
    text = b"t\n" + b"\n".join(b'"' + b"y" * size + b'"' for size in range(max(0, longest - 3), longest + 4))
    (file := tmp_path / "t.csv").write_bytes(text)
    found = described(text, parse_csv(text, str(file)), str(file))

    async def scenario() -> RawServer:
        async with RawServer() as server:
            tape = tape_of(request(body="{{t}}-{{n}}", headers=("X-After: 1",)), data=found)
            await play(engine, tape, [server.port], requests=2 * found.rows, length_ns=LONG_NS)
            return server

    server = run(scenario)
    # The server reads as many bytes as Content-Length says: a wrong length would tear the next request apart.
    assert len(server.requests) == 2 * found.rows
    for number, body in enumerate(bodies(server)):
        assert re.fullmatch(rb"y*-%d" % number, body)
    assert len({body.count(b"y") for body in bodies(server)}) == found.rows


def test_numbers_are_unique_over_connections_and_engines(engine: MakeEngine) -> None:
    tape = tape_of(request("/{{n}}", method="GET"), request("/none", method="GET"), connections=6)

    async def scenario() -> tuple[list[Played], RawServer]:
        async with RawServer() as server:
            parts = [
                play(engine, tape, [server.port], part=p, parts=3, requests=24, length_ns=LONG_NS) for p in range(3)
            ]
            return [await one for one in parts], server

    played, server = run(scenario)
    lines = [one.split(b" ")[1] for one in server.requests]
    numbers = [int(line[1:]) for line in lines if line != b"/none"]
    assert len(numbers) == len(set(numbers)) > 8
    assert {number % 3 for number in numbers} == {0, 1, 2}
    assert len(lines) - len(numbers) > 2
    assert all(one.outcomes()[Outcome.OK] for one in played)


def test_each_row_is_taken_once_before_any_row_again(engine: MakeEngine, data: DataFile) -> None:
    tape = tape_of(request("/{{name}}", method="GET"), request("/{{name}}?b", method="GET"), connections=2, data=data)

    async def scenario() -> RawServer:
        async with RawServer() as server:
            await play(engine, tape, [server.port], requests=60, length_ns=LONG_NS)
            return server

    lines = [one.split(b" ")[1] for one in run(scenario).requests]
    whole = len(lines) // 3 * 3
    counts = [lines[at : at + 3] for at in range(0, whole - 3, 3)]
    assert sum(len({line.partition(b"?")[0] for line in one}) == 3 for one in counts) > 0.5 * len(counts)
    assert len(set(lines)) == 6  # both requests get all rows


def test_a_request_that_is_sent_again_is_the_same_request(engine: MakeEngine) -> None:
    async def scenario() -> tuple[Played, RawServer]:
        async with RawServer(hangs_up=lambda had: had == 1) as server:
            tape = tape_of(request("/{{n}}?{{uuid}}&{{timestamp_ns}}", method="GET"))
            return await play(engine, tape, [server.port], requests=20, length_ns=LONG_NS), server

    played, server = run(scenario)
    lines = [one.split(b" ")[1] for one in server.requests]
    assert played.outcomes() == {Outcome.OK: 20}
    assert sum(cell.retries for cell in played.totals.cells.values()) > 5
    assert lines[1] == lines[2]
    assert len({line.partition(b"?")[0] for line in lines}) == len(set(lines))


def test_a_long_body_arrives_whole_although_it_is_sent_in_parts(engine: MakeEngine) -> None:
    body = "{{uuid}}" + ("y" * 5000 + "{{n}}") * 1000 + "{{timestamp_ns}}|{{timestamp_ns}}"

    async def scenario() -> RawServer:
        async with RawServer(slowly=True) as server:
            await play(engine, tape_of(request(body=body)), [server.port], requests=3, length_ns=LONG_NS)
            return server

    server = run(scenario)
    assert len(server.requests) == 3
    for number, found in enumerate(bodies(server)):
        assert found[36:-39] == (b"y" * 5000 + b"%d" % number) * 1000
        before, _, after = found[-40:].rpartition(b"|")
        assert before[-19:] == after


def test_times_are_those_of_the_request(engine: MakeEngine) -> None:
    async def scenario() -> RawServer:
        async with RawServer() as server:
            path = "/{{timestamp}}/{{timestamp_ms}}/{{timestamp_ns}}"
            await play(engine, tape_of(request(path, method="GET")), [server.port], requests=9, length_ns=LONG_NS)
            return server

    before_ns = time.time_ns()
    server = run(scenario)
    for one in server.requests:
        s, ms, ns = map(int, one.split(b" ")[1].split(b"/")[1:])
        assert before_ns <= ns <= time.time_ns()
        assert (s, ms) == (ns // NS_PER_S, ns // NS_PER_MS)


def test_an_open_loop_numbers_its_requests_in_order(engine: MakeEngine) -> None:
    asked = Arrivals(rate_per_s=500, poisson=False, seed=1, part=1, parts=2, max_backlog=1000)

    async def scenario() -> RawServer:
        async with RawServer() as server:
            tape = tape_of(request("/{{n}}", method="GET"), connections=4)
            await play(engine, tape, [server.port], arrivals=asked, part=1, parts=2, length_ns=100 * NS_PER_MS)
            return server

    numbers = sorted(int(one.split(b" ")[1][1:]) for one in run(scenario).requests)
    assert numbers == list(range(1, 2 * len(numbers), 2))
    assert len(numbers) > 5


def test_the_seed_decides_and_repeats(engine: MakeEngine) -> None:
    async def scenario(seed: int) -> list[bytes]:
        async with RawServer() as server:
            tape = tape_of(request("/{{uuid}}/{{random:1..1000000}}", method="GET"), seed=seed)
            await play(engine, tape, [server.port], requests=3, length_ns=LONG_NS)
            return [one.split(b" ")[1] for one in server.requests]

    first, again, other = (run(lambda seed=seed: scenario(seed)) for seed in (5, 5, 6))  # type: ignore[misc]
    assert first == again
    assert not set(first) & set(other)
