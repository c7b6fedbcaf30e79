"""Foreign clients at the ports of a run: they are refused, whatever they send, and do not disturb the run."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.cli import Done
from tests.support.fleet_runs import GONE_S, SHORT, FleetRun, fleet, intervals_of
from tests.support.machines import HUB, Machines, needs_machines

pytestmark = needs_machines

IDLE = 100
"""Number of connections that send nothing for the whole time."""

OURS = "this run's"
"""The name of a client with a valid certificate, which is let in and then sends garbage."""


def ended(connection: socket.socket) -> bytes:
    """Receive data until the other side closes; a reset counts as closing.  Raises TimeoutError without an end."""
    connection.settimeout(GONE_S)
    got = b""
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while part := connection.recv(4096):
            got += part
    return got


def plain(data: bytes) -> Callable[[tuple[str, int]], bytes]:
    """Send data that is not TLS; returns the reply."""

    def talk(address: tuple[str, int]) -> bytes:
        with socket.create_connection(address, GONE_S) as connection:
            connection.sendall(data)
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
            return ended(connection)

    return talk


def with_tls(certificate: Path | None) -> Callable[[tuple[str, int]], bytes]:
    """Perform a TLS handshake if possible, and ask to be let in; returns the reply."""

    def talk(address: tuple[str, int]) -> bytes:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if certificate is not None:
            context.load_cert_chain(certificate)
        try:
            with socket.create_connection(address, GONE_S) as raw, context.wrap_socket(raw) as connection:
                with contextlib.suppress(OSError):
                    connection.sendall(b"\0" * 64)
                return ended(connection)
        except (ssl.SSLError, ConnectionError):
            return b""

    return talk


@dataclass(frozen=True)
class ContactedRun:
    """A run with foreign clients: the reply that each received, by its name and the owner of the port."""

    run: FleetRun
    done: Done
    heard: dict[tuple[str, str], bytes | BaseException]
    doubles: Done
    strangers: Done
    late: Done


def listening(machines: Machines, place: str, address: str) -> int:
    """Return the port at which a process other than sshd listens at an address."""
    lines = machines.call(lambda: Path("/proc/thread-self/net/tcp").read_text(), place).splitlines()[1:]
    packed = socket.inet_aton(address)[::-1].hex().upper()
    ends = [fields[1].split(":") for line in lines if (fields := line.split())[3] == "0A"]
    (port,) = {int(port, 16) for host, port in ends if host == packed}
    return port


@pytest.fixture(scope="module")
def contacted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContactedRun]:
    with fleet(tmp_path_factory, "peers", lambda directory: Machines(directory, 3), runs=1) as (machines, servers):
        cwd = tmp_path_factory.mktemp("peers")
        file, _ = servers.take(4)
        for name in ("certs", "others"):
            machines.loadgen("fleet", "certificates", name, "--workers", "5", cwd=cwd)
        run = FleetRun(
            *(machines, cwd / "contacted", "--targets", file, "--connections", "2", "--duration", "5s"),
            *("--listen", f"{HUB}:0", "--workers", "2", "--certs", cwd / "certs", *SHORT),
        )
        run.until("waiting for 2 workers")
        contact = run.err.partition("--join ")[2].split()[0]

        def worker(place: str, name: str, certificate: str) -> subprocess.Popen[str]:
            arguments = ("--join", contact, "--cert", cwd / certificate, "--name", name, "--patience", "10s")
            return machines.start("worker", *arguments, cwd=cwd, place=place)

        def end_of(child: subprocess.Popen[str]) -> Done:
            out, err = child.communicate(timeout=30)
            return Done(child.returncode, out, err)

        worker("m1", "m1", "certs/worker-0.pem")
        run.until("m1 has joined (1 of 2)")
        double = worker("m3", "m1", "certs/worker-1.pem")
        stranger = worker("m3", "stranger", "others/worker-0.pem")
        doubles, strangers = end_of(double), end_of(stranger)
        worker("m2", "m2", "certs/worker-2.pem")
        run.until("warm-up 1/1")
        late = worker("m3", "late", "certs/worker-3.pem")
        ports = {
            "coordinator": (HUB, int(contact.rpartition(":")[2])),
            "agent": (machines.address("m1"), listening(machines, "m1", machines.address("m1"))),
        }
        others = {
            "nothing": plain(b""),
            "http": plain(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
            "noise": plain(os.urandom(4096)),
            "a frame of Dask without TLS": plain((1).to_bytes(8, "little") * 4 + b"\x80" * 64),
            "a broken hello": plain(b"\x16\x03\x01\x02\x00" + os.urandom(512)),
            "no certificate": with_tls(None),
            "another run's": with_tls(cwd / "others" / "worker-1.pem"),
            OURS: with_tls(cwd / "certs" / "worker-4.pem"),
        }

        def visit() -> dict[tuple[str, str], bytes | BaseException]:
            heard: dict[tuple[str, str], bytes | BaseException] = {}

            def one(who: str, where: str) -> None:
                try:
                    heard[who, where] = others[who](ports[where])
                except BaseException as error:  # noqa: BLE001 - a test checks the exception
                    heard[who, where] = error

            with contextlib.ExitStack() as stack:
                for _ in range(IDLE):
                    stack.enter_context(socket.create_connection(ports["coordinator"], GONE_S))
                for who in others:
                    for where in ports:
                        one(who, where)
                run.until("ramp-down 1/1")
            return heard

        heard = machines.call(visit, "m3")
        done = run.wait()
        yield ContactedRun(run, done, heard, doubles, strangers, end_of(late))


def test_a_client_without_a_certificate_of_the_run_learns_nothing(contacted: ContactedRun) -> None:
    assert len(contacted.heard) == 16
    for (who, where), got in contacted.heard.items():
        assert isinstance(got, bytes), (who, where, got)
        # A TLS alert has no information except its kind.
        told = len(got) > 7 or got[:1] not in (b"", b"\x15")
        assert told is (who == OURS), (who, where, got)


def test_foreign_clients_do_not_disturb_the_run(contacted: ContactedRun) -> None:
    document = contacted.run.document
    assert contacted.done.code == document["exit_code"]
    assert document["verdict"] == "conforming" or all("other processes" in one for one in document["reasons"])
    assert [machine["name"] for machine in document["fleet"]["machines"]] == ["m1", "m2"]
    assert not document["fleet"]["missing"]
    assert not document["notes"]
    for name in ("m1", "m2"):
        assert intervals_of(contacted.run.snapshots, f"{name}/0")[:8] == list(range(8))
    lines = [line for _, line in contacted.run.lines]
    assert all(line.startswith("· ") or "conforming=" in line for line in lines), lines
    assert contacted.run.nothing_left()


def test_a_second_worker_with_the_same_name_is_refused(contacted: ContactedRun) -> None:
    assert contacted.doubles.code == 3
    _, line, *hint = contacted.doubles.err.splitlines()
    assert line == "loadgen: a worker named m1 has joined already"
    assert all(one.startswith("hint: ") for one in hint)


def test_a_worker_of_another_run_is_refused(contacted: ContactedRun) -> None:
    assert contacted.strangers.code == 3
    _, line, hint = contacted.strangers.err.splitlines()
    assert "cannot be joined: it has a certificate of another run" in line
    assert hint == "hint: certificates are valid for one run, and for 24 hours"


def test_a_worker_that_joins_too_late_waits_for_the_end(contacted: ContactedRun) -> None:
    assert contacted.late.code == 0
    assert contacted.late.err.splitlines()[-1] == "late ends: the coordinator has ended"
