"""The pages of a running command over real sockets: who may read them, and clients that are silent or too many."""

from __future__ import annotations

import asyncio
import shutil
import socket
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from coordinator.output.web import site
from coordinator.output.web.guard import POLICY
from tests.support import https
from tests.support.judged import judged
from tests.support.recorded import write_record
from tests.support.served import Events, run, second, serving, until

TOKEN = "t" * 32


def test_the_page_and_its_parts_are_served_with_a_strict_policy() -> None:
    async def test() -> None:
        async with serving() as served:
            for path, kind in (("/", "text/html"), ("/static/live.js", "text/javascript"), ("/text", "text/html")):
                reply = await served.get(path)
                assert (reply.status, reply.headers["content-type"].split(";")[0]) == (200, kind)
                assert reply.headers["content-security-policy"] == POLICY
                assert "unsafe" not in POLICY
                assert reply.headers["server"] == "loadgen"
                assert reply.headers["cache-control"] == "no-store"
            assert "<script>" not in (await served.get("/")).body
            assert "style=" not in (await served.get("/")).body

    run(test)


@pytest.mark.parametrize(
    ("path", "status"),
    [("/nothing", 404), ("/static/nothing", 404), ("/static/../board.py", 404), ("/static/%2e%2e%2fboard.py", 404)],
)
def test_what_is_not_there_is_one_line(path: str, status: int) -> None:
    async def test() -> None:
        async with serving() as served:
            reply = await served.get(path)
            assert reply.status == status
            assert "Traceback" not in reply.body

    run(test)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_pages_can_only_be_read(method: str) -> None:
    async def test() -> None:
        async with serving() as served:
            assert (await served.get("/", method=method)).status == 405

    run(test)


@pytest.mark.parametrize("metrics", [False, True])
def test_another_name_for_this_machine_is_refused(metrics: bool) -> None:
    async def test() -> None:
        async with serving(metrics=metrics) as served:
            assert (await served.get("/", Host="evil.example")).status == 421
            assert (await served.get("/", Host="localhost")).status == 200

    run(test)


def test_a_token_is_asked_for_and_becomes_a_cookie() -> None:
    async def test() -> None:
        async with serving(token=TOKEN) as served:
            for path in ("/", "/events", "/report", "/static/live.js", "/?token=wrong", f"/?token={TOKEN}x"):
                reply = await served.get(path)
                assert reply.status == 401
                assert TOKEN not in reply.body
            sent_on = await served.get(f"/report?token={TOKEN}&a=b")
            assert (sent_on.status, sent_on.headers["location"]) == (303, "/report?a=b")
            cookie = sent_on.headers["set-cookie"]
            assert "HttpOnly" in cookie
            assert "SameSite=Lax" in cookie  # a link in a chat opens the page
            name = f"loadgen_{served.listening.port}"
            assert (await served.get("/", Cookie=f"{name}={TOKEN}")).status == 200
            assert (await served.get("/", Cookie=f"{name}={TOKEN[:-1]}")).status == 401
            assert (await served.get("/", Cookie=f"loadgen_1={TOKEN}")).status == 401

    run(test)


def test_each_reader_is_told_of_each_change() -> None:
    async def test() -> None:
        async with serving() as served, Events(served) as one, Events(served) as two:
            for events in (one, two):
                assert (await events.next())[0] == "all"
            served.board.update(second(1))
            served.board.say("hello")
            served.board.over(judged(https.header(), https.result()))
            for events in (one, two):
                assert [(await events.next())[0] for _ in range(3)] == ["picture", "said", "over"]

    run(test)


def test_a_page_that_is_opened_later_has_the_past() -> None:
    async def test() -> None:
        async with serving() as served:
            for number in range(5):
                served.board.update(second(number))
            async with Events(served) as events:
                _, message = await events.next()
                times = message["times"]
                assert isinstance(times, list)
                assert len(times) == 5

    run(test)


def test_a_client_that_stops_reading_is_dropped_and_the_others_miss_nothing() -> None:
    async def test() -> None:
        async with serving() as served, Events(served) as quick:
            assert (await quick.next())[0] == "all"
            stopped = socket.create_connection((served.listening.host, served.listening.port))
            stopped.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            with stopped:
                stopped.sendall(f"GET /events HTTP/1.1\r\nHost: 127.0.0.1:{served.listening.port}\r\n\r\n".encode())
                await until(lambda: served.board.readers == 2)
                number = 0
                while served.board.readers == 2:  # until the kernel's buffers and the queue are full
                    number += 1
                    served.board.update(second(number, vms=512))
                    event, message = await quick.next()
                    assert (event, message["picture"]["stamp"].split()[0]) == ("picture", str(number))  # type: ignore[index]
                assert served.board.readers == 1
                served.board.update(second(number + 1))
                assert (await quick.next())[0] == "picture"
            assert served.said == []

    run(test)


def test_a_client_that_goes_away_is_forgotten() -> None:
    async def test() -> None:
        async with serving() as served:
            async with Events(served) as events:
                await events.next()
                assert served.board.readers == 1
            number = 0
            while served.board.readers:
                number += 1
                served.board.update(second(number))
                await asyncio.sleep(0.01)

    run(test)


def test_connections_beyond_the_limit_are_closed_and_the_open_ones_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "_MAX_CONNECTIONS", 3)

    async def test() -> None:
        async with serving() as served, Events(served) as events:
            silent = [await asyncio.open_connection(served.listening.host, served.listening.port) for _ in range(8)]
            closed = [asyncio.ensure_future(reader.read()) for reader, _ in silent]
            await until(lambda: sum(one.done() for one in closed) >= 6)
            served.board.update(second(1))
            assert [(await events.next())[0] for _ in range(2)] == ["all", "picture"]
            for one in closed:
                one.cancel()
            for _, writer in silent:
                writer.close()
            await asyncio.gather(*closed, return_exceptions=True)

    run(test)


def test_no_stream_is_opened_for_its_head_alone() -> None:
    async def test() -> None:
        async with serving() as served:
            assert (await served.get("/", method="HEAD")).status == 200
            assert (await served.get("/events", method="HEAD")).status == 405

    run(test)


@pytest.mark.parametrize(
    "rubbish", [b"\0" * 100, b"GET / HTTP/9\r\n\r\n", b"GET " + b"/" * 70_000 + b" HTTP/1.1\r\n\r\n"]
)
def test_rubbish_ends_its_own_connection_only(rubbish: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    async def test() -> None:
        async with serving() as served:
            reader, writer = await asyncio.open_connection(served.listening.host, served.listening.port)
            writer.write(rubbish)
            answer = await reader.read()
            assert b"Traceback" not in answer
            writer.close()
            assert (await served.get("/")).status == 200

    run(test)
    assert capfd.readouterr() == ("", "")  # nothing may be written into the live view of the terminal


def test_the_report_is_there_when_the_run_is_over() -> None:
    async def test() -> None:
        async with serving() as served:
            assert "The run is not over yet." in (await served.get("/text")).body
            served.board.over(judged(https.header(), https.result()))
            assert "HTTP load" in (await served.get("/text")).body

    run(test)


def test_the_report_with_plots_is_that_of_the_record(tmp_path: Path) -> None:
    write_record(tmp_path / "run", https.header(), https.result())

    async def test() -> None:
        async with serving() as served:
            assert "The run is not over yet." in (await served.get("/report")).body
            served.board.over(judged(https.header(), https.result(), path=tmp_path / "run"))
            reply = await served.get("/report")
            assert "<script" in reply.body
            assert "script-src 'sha256-" in reply.headers["content-security-policy"]
            assert "sandbox" in reply.headers["content-security-policy"]
            shutil.rmtree(tmp_path / "run")
            reply = await served.get("/report")
            assert (reply.status, "The report cannot be drawn" in reply.body) == (200, True)
            assert reply.headers["content-security-policy"] == POLICY

    run(test)


def test_metrics_are_served_in_the_format_that_was_asked_for() -> None:
    async def test() -> None:
        async with serving(metrics=True) as served:
            served.board.update(second(1))
            plain = await served.get("/metrics")
            assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
            names = {family.name for family in text_string_to_metric_families(plain.body)}
            assert {"loadgen_build_info", "loadgen_target_operations", "loadgen_run_elapsed_seconds"} <= names
            opened = await served.get("/metrics", Accept="application/openmetrics-text; version=1.0.0")
            assert opened.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
            assert opened.body.endswith("# EOF\n")
            assert (await served.get("/")).body.count("/metrics") >= 1

    run(test)


def test_a_bug_in_a_page_is_one_line_in_it_and_none_on_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    async def test() -> None:
        async with serving() as served:
            served.board.over(judged(https.header(), https.result()))
            monkeypatch.setattr("coordinator.output.web.live.report_in_words", lambda *_: 1 / 0)
            reply = await served.get("/text")
            assert reply.status == 500
            assert "ZeroDivisionError" in reply.body
            assert "Traceback" not in reply.body

    run(test)
    assert capfd.readouterr() == ("", "")
