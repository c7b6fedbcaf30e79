"""Access to the coordinator's port: only workers of the run are let in; other clients disturb nobody."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
from collections.abc import Awaitable, Callable

import pytest
import uvloop
from distributed import Worker
from distributed.comm.core import connect

from coordinator.fleet.certificates import Authority
from coordinator.fleet.dask.hub import Hub
from loadgen.agent.credentials import Credentials
from loadgen.agent.dask.security import security
from loadgen.model.errors import PlanError

LOOPBACK = "127.0.0.1"


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(scenario(), 30)

    uvloop.run(bounded())


def worker(contact: str, name: str, credentials: Credentials | None) -> Worker:
    return Worker(
        contact,
        name=name,
        host=LOOPBACK,
        nthreads=1,
        memory_limit=0,
        dashboard_address="127.0.0.1:0",
        security=security(credentials),
        death_timeout=1,
    )


async def exchange(contact: str, data: bytes) -> bytes:
    """Send bytes to a port; returns the reply until the port closes, or for a short time."""
    host, port = contact.partition("://")[2].rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(data)
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(0.1):
            return await reader.read()
    writer.close()
    return b""


def test_only_certificates_of_the_run_are_accepted_and_other_clients_do_not_disturb() -> None:
    seen = io.StringIO()
    terminal = logging.StreamHandler(seen)
    loud = logging.getLogger("distributed.comm.tcp")
    loud.addHandler(terminal)
    ours, foreign = Authority(), Authority()

    async def scenario() -> None:
        async with Hub([LOOPBACK], 0, ours.issue("coordinator")) as hub:
            contact = hub.contact(LOOPBACK)
            assert contact.startswith("tls://")
            async with worker(contact, "a", ours.issue("a")) as good:
                assert await hub.joined(["a"], 5) == {"a": good.address}
                for noise in (b"GET / HTTP/1.0\r\n\r\n", bytes(4096), b"\xff" * 4096, b"\x16\x03\x01\x02\x00garbage"):
                    assert b"dask" not in await exchange(contact, noise)
                for arguments in (
                    (contact, security(foreign.issue("a"))),
                    (contact.replace("tls://", "tcp://"), security(None)),
                ):
                    asked = arguments[1].get_connection_args("worker")  # type: ignore[no-untyped-call]
                    with pytest.raises(OSError, match=r"Timed out|certificate|reset"):
                        await connect(arguments[0], timeout=0.3, **asked)  # type: ignore[no-untyped-call]
                answers = await hub.client.run(int, "7", workers=[good.address])
                assert answers == {good.address: 7}
                assert dict(hub.present) == {"a": good.address}
            assert await hub.joined(["a"], 0) == {}

    try:
        run(scenario)
        assert seen.getvalue() == ""
        loud.warning("and afterwards it is as before")
        assert "as before" in seen.getvalue()
    finally:
        loud.removeHandler(terminal)


def test_workers_are_counted_and_named_as_they_join() -> None:
    async def scenario() -> None:
        async with Hub([LOOPBACK, "127.0.0.2"], 0, None) as hub:
            contacts = [hub.contact(LOOPBACK), hub.contact("127.0.0.2")]
            assert contacts[1].startswith("tcp://127.0.0.2:")
            waiting = asyncio.create_task(hub.joined(["b", "a"], 5))
            async with worker(contacts[0], "a", None), worker(contacts[1], "b", None):
                assert list(await waiting) == ["b", "a"]
                assert list(await hub.more_than(1, 5)) == ["a", "b"]
                assert list(await hub.joined(["b", "c"], 0.01)) == ["b"]
                assert list(await hub.more_than(2, 0.01)) == ["a", "b"]

    run(scenario)


def test_an_address_of_another_machine_is_refused_in_one_line() -> None:
    async def scenario() -> None:
        with pytest.raises(PlanError, match=r"cannot listen at 192\.0\.2\.1, port 0: "):
            async with Hub(["192.0.2.1"], 0, None):
                pass

    run(scenario)
