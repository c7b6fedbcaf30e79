"""The reference server, over real sockets: what the tape asks, what nobody should ask, and its log."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web

from loadgen.model.plan import LastAd, SpecPlan
from loadgen.schedule.optape import CLOSE_AFTER, OpTape
from tests.support.specweb import wrong_with
from workloads.specweb99 import ads, cgi, files, fileset, mix, page, postlog, urls
from workloads.specweb99.app import AppConfig, create_app
from workloads.specweb99.compile import compile_tape

PLAN = SpecPlan(vms=4, connections=20, last_ad=LastAd.RANDOM, seed=3)
USER = {"Cookie": ads.request_cookie(3, 20)}
FILE = "/file_set/dir00001/class1_2"
POST = urls.post_body(1, 1, 2, 44).encode()


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def cookie(self) -> str:
        return self.headers.get("set-cookie", "")

    @property
    def content(self) -> bytes:
        return page.content_of(self.body)


@dataclass
class Client:
    """Sends bytes as they are, over one connection."""

    port: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, raw: bytes) -> Reply:
        self.writer.write(raw)
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {key.lower(): value for key, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = await self.reader.readexactly(int(headers["content-length"]))
        return Reply(int(head[0].split()[1]), headers, body)

    async def get(self, path: str, headers: dict[str, str] | None = None) -> Reply:
        lines = "".join(f"{key}: {value}\r\n" for key, value in (headers or {}).items())
        return await self.send(f"GET {path} HTTP/1.1\r\nHost: h\r\n{lines}\r\n".encode())

    async def post(self, body: bytes, headers: dict[str, str]) -> Reply:
        lines = "".join(f"{key}: {value}\r\n" for key, value in headers.items())
        head = f"POST {urls.DYNAMIC_POST} HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\n{lines}\r\n"
        return await self.send(head.encode() + body)

    async def fetch(self) -> bytes:
        return (await self.get(urls.FETCH)).content


@dataclass
class Place:
    """Where servers of a test live."""

    docroot: Path
    workdir: Path

    @property
    def config(self) -> AppConfig:
        return AppConfig(docroot=self.docroot, workdir=self.workdir)


@asynccontextmanager
async def serving(config: AppConfig, *, reset: bool = True) -> AsyncIterator[Client]:
    runner = web.AppRunner(create_app(config), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    client = Client(port, reader, writer)
    try:
        if reset:
            assert (await client.get(urls.reset_command(PLAN))).status == 200
        yield client
    finally:
        writer.close()
        await writer.wait_closed()
        await runner.cleanup()


@pytest.fixture(scope="session")
def docroot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("set")
    fileset.ensure(root, urls.directories(PLAN))
    return root


@pytest.fixture
def place(docroot: Path, tmp_path: Path) -> Place:
    return Place(docroot, tmp_path)


def run(config: AppConfig, scenario: Callable[[Client], Awaitable[None]], *, reset: bool = True) -> None:
    async def main() -> None:
        async with serving(config, reset=reset) as client:
            await scenario(client)

    asyncio.run(main())


def test_every_sort_of_operation_is_answered_as_its_tape_expects(place: Place) -> None:
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
    """One operation, on a connection of its own if it is to end one."""
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


@pytest.mark.parametrize(
    "path",
    [
        "/file_set/../post.log",
        "/file_set/..%2fpost.log",
        "/file_set/dir00000/../../.lock",
        "/file_set/dir00000/class0_0/../class0_1",
        "/file_set/dir00000/",
        "/file_set/",
        "/.lock",
        "/post.log",
        "/",
    ],
)
def test_nothing_but_the_files_can_be_got(place: Place, path: str) -> None:
    async def scenario(client: Client) -> None:
        assert (await client.get(path)).status == 404
        for operation in (urls.DYNAMIC_GET, urls.DYNAMIC_CAD, urls.DYNAMIC_CGI):
            reply = await client.get(f"{operation}?{path}", USER)
            assert (reply.status, reply.cookie) == (400, ads.MISSED_COOKIE)
            assert b"does not name a file" in reply.content

    run(place.config, scenario)


def test_files_that_are_missing_are_told_in_the_page(place: Place) -> None:
    missing = "/file_set/dir99999/class0_0"

    async def scenario(client: Client) -> None:
        for operation in (urls.DYNAMIC_GET, urls.DYNAMIC_CAD, urls.DYNAMIC_CGI):
            reply = await client.get(f"{operation}?{missing}", USER)
            assert (reply.status, reply.cookie) == (404, ads.MISSED_COOKIE)
            assert reply.content.strip() == b"there is no such file"
        reply = await client.post(urls.post_body(99_999, 0, 0, 1).encode(), USER)
        assert (reply.status, reply.cookie) == (404, ads.MISSED_COOKIE)
        assert await client.fetch() == postlog.EMPTY

    run(place.config, scenario)


@pytest.mark.parametrize(
    "cookie",
    [
        None,
        "",
        "my_cookie=user_id=9999&last_ad=0",
        "my_cookie=user_id=10020&last_ad=0",
        "my_cookie=user_id=10000&last_ad=360",
        "x" * 4000,
        "my_cookie=user_id=\xff&last_ad=1",
    ],
)
def test_garbage_cookies_are_refused(place: Place, cookie: str | None) -> None:
    headers = {} if cookie is None else {"Cookie": cookie}

    async def scenario(client: Client) -> None:
        for reply in (await client.get(f"{urls.DYNAMIC_CAD}?{FILE}", headers), await client.post(POST, headers)):
            assert (reply.status, reply.cookie) == (400, ads.MISSED_COOKIE)
            assert b"the cookie does not name" in reply.content
        assert await client.fetch() == postlog.EMPTY

    run(place.config, scenario)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"garbage\x00\xff", 400),
        (POST.replace(b"class=1", b"class=7"), 400),
        (POST.replace(b"/file_set/", b"/../"), 400),
        (POST + b"&more=1", 400),
        (b"x" * 4097, 413),
        (b"&" * 100_000, 413),
    ],
)
def test_garbage_posts_are_refused_and_not_logged(place: Place, body: bytes, status: int) -> None:
    async def scenario(client: Client) -> None:
        reply = await client.post(body, USER)
        assert (reply.status, reply.cookie) == (status, ads.MISSED_COOKIE)
        assert b"Test</title>" in reply.body

    run(place.config, scenario)
    assert (place.workdir / "post.log").read_bytes() == postlog.EMPTY


def test_what_the_request_says_cannot_pose_as_the_content(place: Place) -> None:
    async def scenario(client: Client) -> None:
        reply = await client.get(f"{urls.DYNAMIC_GET}?<pre>&lt;</pre>")
        assert reply.status == 400
        assert reply.body.count(b"<pre>") == 1

    run(place.config, scenario)


@pytest.mark.parametrize("query", ["", "command/Finish", "command/Fetch&x", "command/Reset&maxload=1"])
def test_commands_that_are_none_are_refused(place: Place, query: str) -> None:
    async def scenario(client: Client) -> None:
        assert (await client.get(f"{urls.COMMAND}?{query}")).status == 400

    run(place.config, scenario)


def test_reset_forgets_the_log_and_makes_the_tables_anew(place: Place) -> None:
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


def test_without_a_reset_only_what_needs_users_fails(place: Place) -> None:
    async def scenario(client: Client) -> None:
        assert (await client.get(f"{urls.DYNAMIC_GET}?{FILE}")).status == 200
        assert (await client.get(f"{urls.DYNAMIC_CGI}?{FILE}")).status == 200
        assert (await client.get(f"{urls.DYNAMIC_CAD}?{FILE}", USER)).status == 500
        assert (await client.post(POST, USER)).status == 500
        assert await client.fetch() == postlog.EMPTY

    run(place.config, scenario, reset=False)


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


def test_a_log_that_is_garbage_is_told(place: Place) -> None:
    async def scenario(client: Client) -> None:
        (place.workdir / "post.log").write_bytes(b"garbage garbage")
        assert (await client.post(POST, USER)).status == 500
        assert await client.fetch() == b"garbage garbage"

    run(place.config, scenario)


def test_the_cgi_operation_runs_a_process_for_each_request(place: Place) -> None:
    script = place.workdir / "pid.sh"
    script.write_text("printf 'X: 1\\nStatus: 201 Made\\n\\n%s' $$")

    async def scenario(client: Client) -> None:
        replies = [await client.get(f"{urls.DYNAMIC_CGI}?{FILE}") for _ in range(3)]
        assert [(reply.status, reply.headers["x"]) for reply in replies] == [(201, "1")] * 3
        pids = {int(reply.body) for reply in replies}
        assert len(pids) == 3
        for pid in pids:  # reaped: a zombie would still be there
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)

    run(replace(place.config, cgi_script=script), scenario)


@pytest.mark.parametrize("script", ["exit 3", "echo nonsense", "printf 'Status: x\\n\\n'", "printf 'A: b\\n'", ""])
def test_a_cgi_script_that_fails_is_told(place: Place, script: str) -> None:
    path = place.workdir / "bad.sh"
    path.write_text(script)

    async def scenario(client: Client) -> None:
        reply = await client.get(f"{urls.DYNAMIC_CGI}?{FILE}")
        assert (reply.status, reply.cookie) == (500, ads.MISSED_COOKIE)
        assert b"the script" in reply.content

    run(replace(place.config, cgi_script=path), scenario)


def test_a_cgi_script_that_hangs_is_killed_with_its_children(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgi, "TIMEOUT_S", 0.2)
    path = place.workdir / "hang.sh"
    path.write_text(f"sleep 1000 & echo $$ $! > {place.workdir}/pids; wait")

    async def scenario(client: Client) -> None:
        reply = await client.get(f"{urls.DYNAMIC_CGI}?{FILE}")
        assert reply.status == 500
        assert b"did not end within" in reply.content

    run(replace(place.config, cgi_script=path), scenario)
    shell, child = (int(pid) for pid in (place.workdir / "pids").read_text().split())
    with pytest.raises(ProcessLookupError):
        os.kill(shell, 0)
    for _ in range(200):
        if is_gone(child):
            break
        time.sleep(0.01)
    assert is_gone(child)


def is_gone(pid: int) -> bool:
    """Whether a process has ended; an orphan is init's to reap."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].startswith("Z")
    except FileNotFoundError:
        return True
