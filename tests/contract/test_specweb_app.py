"""The reference server over real sockets: the operations of a tape, its commands and its POST log."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from loadgen.schedule.optape import CLOSE_AFTER, OpTape
from tests.support.specweb import wrong_with
from tests.support.specweb_server import FILE, PLAN, POST, USER, Client, Place, run, serving
from workloads.specweb99 import ads, files, mix, postlog, urls
from workloads.specweb99.compile import compile_tape


def test_every_kind_of_operation_is_answered_as_its_tape_expects(place: Place) -> None:
    tape = compile_tape(PLAN)
    rows: list[int] = []
    for group in range(5):
        for kind in range(4):
            rows += np.flatnonzero((tape.ops["group"] == group) & (tape.ops["kind"] == kind))[:6].tolist()
    assert len({(int(op["group"]), int(op["kind"])) for op in tape.ops[rows]}) >= 19  # CGI of class 3 is rare

    async def scenario(client: Client) -> None:
        for row in rows:
            await play(client, tape, row)
        log = await client.fetch()
        posted = [row for row in rows if tape.ops["group"][row] == mix.POST]
        kinds = tape.ops["kind"][posted]
        counts = tuple(int((kinds == kind).sum()) for kind in range(4))
        report = postlog.check(log, postlog.PostCounts(ok=counts, attempted=counts))
        assert report.ok, report.problems
        records = [postlog.PostRecord.parse(log[at : at + 139]) for at in range(11, len(log), 139)]
        assert [record.client for record in records] == posted

    run(place.config, scenario)


async def play(client: Client, tape: OpTape, row: int) -> None:
    """Play one operation; on a new connection when the row ends its connection."""
    op = tape.ops[row]
    raw = tape.strings[int(op["line"])] + b"Host: h\r\n" + tape.strings[int(op["rest"])]
    if op["flags"] & CLOSE_AFTER:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port, limit=1 << 20)
        reply = await Client(client.port, reader, writer).send(raw)
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
    else:
        reply = await client.send(raw)
    assert reply.status == op["status"], raw
    assert wrong_with(tape, row, reply.body) == "", raw
    if op["cookie"]:
        assert reply.cookie.encode() == tape.strings[int(op["cookie"])]


@pytest.mark.parametrize("class_", range(4))
def test_static_files_are_served_as_they_are(place: Place, class_: int) -> None:
    async def scenario(client: Client) -> None:
        for num in range(9):
            reply = await client.get(urls.file_path(2, class_, num))
            assert (reply.status, reply.body) == (200, files.content(2, class_, num))
        assert (await client.get("/file_set/dir99999/class0_0")).status == 404

    run(place.config, scenario, reset=False)


def test_static_files_can_be_left_to_a_server_in_front(place: Place) -> None:
    async def scenario(client: Client) -> None:
        assert (await client.get(FILE)).status == 404
        assert (await client.get(f"{urls.DYNAMIC_GET}?{FILE}")).content == files.content(1, 1, 2)

    run(replace(place.config, static=False), scenario)


def test_reset_empties_the_log_and_creates_the_tables_again(place: Place) -> None:
    other = replace(PLAN, seed=4, connections=5)

    async def scenario(client: Client) -> None:
        assert (await client.post(POST, USER)).status == 200
        assert len(await client.fetch()) == 11 + 139
        for plan in (other, PLAN, other):
            assert (await client.get(urls.reset_command(plan))).status == 200
            assert await client.fetch() == postlog.EMPTY
            answers = urls.expected_ads(plan)
            for last_ad in range(0, 360, 24):
                cookie = {"Cookie": ads.request_cookie(4, last_ad)}
                reply = await client.get(f"{urls.DYNAMIC_CAD}?{FILE}", cookie)
                assert reply.cookie == answers.cookie(4, last_ad)
        assert (await client.get(f"{urls.DYNAMIC_CAD}?{FILE}", {"Cookie": ads.request_cookie(5, 0)})).status == 400

    run(place.config, scenario)


def test_tables_that_another_process_writes_are_noticed(place: Place) -> None:
    async def scenario(client: Client) -> None:
        assert (await client.get(f"{urls.DYNAMIC_CAD}?{FILE}", USER)).status == 200
        (place.workdir / "Custom.Ads").write_bytes(b"garbage")
        reply = await client.get(f"{urls.DYNAMIC_CAD}?{FILE}", USER)
        assert (reply.status, reply.cookie) == (500, ads.MISSED_COOKIE)
        (place.workdir / "Custom.Ads").unlink()
        assert (await client.get(f"{urls.DYNAMIC_CAD}?{FILE}", USER)).status == 500
        assert (await client.get(urls.reset_command(PLAN))).status == 200
        assert (await client.get(f"{urls.DYNAMIC_CAD}?{FILE}", USER)).status == 200

    run(place.config, scenario)


def test_posts_of_several_servers_on_one_log_stay_in_order(place: Place) -> None:
    async def posts(port: int, count: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        client = Client(port, reader, writer)
        for _ in range(count):
            assert (await client.post(POST, USER)).status == 200
        writer.close()
        await writer.wait_closed()

    async def main() -> None:
        async with serving(place.config) as one, serving(place.config, reset=False) as two:
            await asyncio.gather(*(posts(client.port, 10) for client in (one, two) for _ in range(4)))
            counts = (0, 80, 0, 0)
            log = await two.fetch()
            assert log == await one.fetch()
            report = postlog.check(log, postlog.PostCounts(ok=counts, attempted=counts))
            assert report.ok, report.problems

    asyncio.run(main())
