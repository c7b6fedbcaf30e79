"""Why no coordinator can be reached: each cause is told apart, against real servers of each kind."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from coordinator.fleet.certificates import Authority
from coordinator.fleet.dask.hub import Hub
from loadgen.agent.credentials import Credentials
from loadgen.agent.dask.join import be_agent
from loadgen.agent.dask.security import security
from loadgen.agent.peer import Ours, Problem, find_problem
from loadgen.model.errors import FleetError

PATIENCE_S = 1.0


def ours(credentials: Credentials) -> Ours:
    return Ours(security(credentials).get_connection_args("worker")["ssl_context"], "valid from A to B")  # type: ignore[no-untyped-call]


OURS = ours(Authority().issue("w"))


@contextlib.contextmanager
def saying(first: bytes, answer: bytes) -> Iterator[int]:
    """A server that says `first`, then `answer` to whatever it gets, and closes the connection."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                with contextlib.suppress(ConnectionError), listener.accept()[0] as connection:
                    connection.sendall(first)
                    if connection.recv(4096):
                        connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = threading.Thread(target=serve, daemon=True)
        serving.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        serving.join(5)


@pytest.mark.parametrize(
    ("first", "answer", "text"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", b"", "an SSH server listens there (SSH-2.0-OpenSSH_9.2), no coordinator"),
        (b"", b"HTTP/1.1 400 Bad\r\n\r\n", "a web server listens there (HTTP/1.1 400 Bad), no coordinator"),
        (b"220 mail ESMTP\r\n", b"", "another server listens there (it says '220 mail ESMTP'), no coordinator"),
        (b"", b"-ERR \x1b[1m\r\n", "another server listens there (it says '-ERR .[1m'), no coordinator"),
    ],
    ids=["ssh", "web", "mail", "other"],
)  # fmt: skip
def test_another_server_is_recognised_at_once(first: bytes, answer: bytes, text: str) -> None:
    async def work() -> Problem | None:
        with saying(first, answer) as port:
            return await find_problem("127.0.0.1", port, OURS, PATIENCE_S)

    found = asyncio.run(work())
    assert found is not None
    assert (found.text, found.final) == (text, True)


def test_what_may_change_is_waited_for() -> None:
    async def work() -> list[Problem | None]:
        found = [await find_problem("no.invalid", 1, OURS, PATIENCE_S)]
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            found.append(await find_problem("127.0.0.1", nobody.getsockname()[1], OURS, PATIENCE_S))
            nobody.listen()
            found.append(await find_problem("127.0.0.1", nobody.getsockname()[1], OURS, 0.3))
        with saying(b"", b"") as port:
            found.append(await find_problem("127.0.0.1", port, OURS, PATIENCE_S))
        return found

    name, refused, silent, closing = asyncio.run(work())
    assert name is not None
    assert name.text.startswith("there is no address for 'no.invalid': ")
    assert refused == Problem("nothing listens there (connection refused)")
    assert silent == Problem("connections are accepted, but nothing is answered")
    assert closing is not None
    assert not closing.final


def test_a_coordinator_of_the_same_run_is_no_problem_and_others_are_named() -> None:
    run, other = Authority(), Authority()

    async def work() -> list[Problem | None]:
        async with Hub(("127.0.0.1",), 0, run.issue("coordinator")) as hub:
            port = int(hub.contact("127.0.0.1").rpartition(":")[2])
            both = [ours(one.issue("w")) for one in (run, other)]
            found = [await find_problem("127.0.0.1", port, one, 5) for one in both]
        async with Hub(("127.0.0.1",), 0, None) as hub:
            port = int(hub.contact("127.0.0.1").rpartition(":")[2])
            return [*found, *[await find_problem("127.0.0.1", port, one, 1) for one in (Ours(None), OURS)]]

    same, foreign, plain, unsafe = asyncio.run(work())
    assert same is None
    assert foreign is not None
    assert foreign.text == "it has a certificate of another run, or is another server with TLS"
    assert plain is None
    assert unsafe is not None
    assert unsafe.text == "a Dask scheduler without TLS listens there"


@pytest.mark.parametrize(
    ("began", "text"),
    [
        (timedelta(hours=-30), "the coordinator's certificate has expired"),
        (timedelta(hours=30), "the coordinator's certificate is not valid yet"),
    ],
    ids=["expired", "not yet"],
)  # fmt: skip
def test_certificates_out_of_time_are_told_with_dates(began: timedelta, text: str) -> None:
    run = Authority(datetime.now(UTC) + began)

    async def work() -> Problem | None:
        async with Hub(("127.0.0.1",), 0, run.issue("coordinator")) as hub:
            port = int(hub.contact("127.0.0.1").rpartition(":")[2])
            return await find_problem("127.0.0.1", port, ours(run.issue("w")), 5)

    found = asyncio.run(work())
    assert found is not None
    assert found.text.startswith(f"{text}; this certificate is valid from A to B, and here it is 20")
    assert found.final


def be(port: int, say: Callable[[str], None]) -> str:
    """The error of an agent that shall join there within a second."""
    made = security(Authority().issue("w"))

    async def work() -> None:
        until = asyncio.Event()
        await be_agent(
            f"tls://127.0.0.1:{port}", name="w", bind="", security=made, until=until, patience_s=PATIENCE_S, say=say
        )

    with pytest.raises(FleetError) as caught:
        asyncio.run(work())
    return caught.value.message


def test_an_agent_says_once_why_it_waits_and_ends_with_that_reason() -> None:
    said: list[str] = []
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        why = be(port, said.append)
    assert (
        why
        == f"no coordinator at tls://127.0.0.1:{port} answers within 1 s: nothing listens there (connection refused)"
    )
    assert said == [f"waiting for the coordinator at 127.0.0.1:{port}: nothing listens there (connection refused)"]
