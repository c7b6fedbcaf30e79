"""Requests that the reference server must refuse, and the messages for them."""

from __future__ import annotations

import pytest

from tests.support.specweb_server import FILE, POST, USER, Client, Place, run
from workloads.specweb99 import ads, postlog, urls


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
def test_only_files_of_the_file_set_are_served(place: Place, path: str) -> None:
    async def scenario(client: Client) -> None:
        assert (await client.get(path)).status == 404
        for operation in (urls.DYNAMIC_GET, urls.DYNAMIC_CAD, urls.DYNAMIC_CGI):
            reply = await client.get(f"{operation}?{path}", USER)
            assert (reply.status, reply.cookie) == (400, ads.MISSED_COOKIE)
            assert b"does not name a file" in reply.content

    run(place.config, scenario)


def test_missing_files_are_reported_in_the_page(place: Place) -> None:
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


def test_text_of_a_request_cannot_look_like_the_content(place: Place) -> None:
    async def scenario(client: Client) -> None:
        reply = await client.get(f"{urls.DYNAMIC_GET}?<pre>&lt;</pre>")
        assert reply.status == 400
        assert reply.body.count(b"<pre>") == 1

    run(place.config, scenario)


@pytest.mark.parametrize("query", ["", "command/Finish", "command/Fetch&x", "command/Reset&maxload=1"])
def test_invalid_commands_are_refused(place: Place, query: str) -> None:
    async def scenario(client: Client) -> None:
        assert (await client.get(f"{urls.COMMAND}?{query}")).status == 400

    run(place.config, scenario)


def test_without_a_reset_only_operations_that_need_users_fail(place: Place) -> None:
    async def scenario(client: Client) -> None:
        assert (await client.get(f"{urls.DYNAMIC_GET}?{FILE}")).status == 200
        assert (await client.get(f"{urls.DYNAMIC_CGI}?{FILE}")).status == 200
        assert (await client.get(f"{urls.DYNAMIC_CAD}?{FILE}", USER)).status == 500
        assert (await client.post(POST, USER)).status == 500
        assert await client.fetch() == postlog.EMPTY

    run(place.config, scenario, reset=False)


def test_an_invalid_log_is_reported(place: Place) -> None:
    async def scenario(client: Client) -> None:
        (place.workdir / "post.log").write_bytes(b"garbage garbage")
        assert (await client.post(POST, USER)).status == 500
        assert await client.fetch() == b"garbage garbage"

    run(place.config, scenario)
