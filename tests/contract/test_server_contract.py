"""The contract of web servers: what every kind does for a VM."""

from __future__ import annotations

import http.client
import os
import socket
import struct
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from deploy.proc import children_of
from deploy.servers.base import WebServer
from deploy.vms.local import LocalVms
from loadgen.model.plan import SpecPlan
from loadgen.model.target import Target
from tests.support.vms import EVERY_SERVER, is_running, make_file_set, running, within
from workloads.specweb99 import files
from workloads.specweb99.urls import (
    DYNAMIC_CGI,
    DYNAMIC_GET,
    DYNAMIC_POST,
    FETCH,
    file_path,
    post_body,
    reset_command,
)

SMALL = file_path(0, 0, 0)


@pytest.fixture(scope="module")
def docroot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_file_set(tmp_path_factory.mktemp("set"))
    (root / "secret").write_text("not in the file set")
    return root


@pytest.fixture(scope="module", params=EVERY_SERVER)
def vms(request: pytest.FixtureRequest, docroot: Path) -> Iterator[LocalVms]:
    with running(request.param, [docroot]) as running_vms:
        yield running_vms


@pytest.fixture
def target(vms: LocalVms) -> Target:
    return vms.targets[0]


def connect(target: Target) -> closing[http.client.HTTPConnection]:
    return closing(http.client.HTTPConnection(target.host, target.port, timeout=10))


def open_files() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def get(client: http.client.HTTPConnection, path: str) -> tuple[int, bytes]:
    client.request("GET", path)
    reply = client.getresponse()
    return reply.status, reply.read()


@pytest.mark.parametrize("class_", range(files.CLASSES))
def test_files_are_served_completely(target: Target, class_: int) -> None:
    with connect(target) as client:
        client.request("GET", file_path(0, class_, 8))
        reply = client.getresponse()
        assert (reply.status, reply.length) == (200, files.file_bytes(class_, 8))
        assert reply.read() == files.content(0, class_, 8)


@pytest.mark.parametrize("path", [DYNAMIC_GET, DYNAMIC_CGI])
def test_pages_of_the_app_are_served(target: Target, path: str) -> None:
    with connect(target) as client:
        status, page = get(client, f"{path}?{file_path(0, 3, 8)}")
    assert status == 200
    assert files.content(0, 3, 8) in page


def test_posts_and_cookies_pass_in_both_directions(target: Target) -> None:
    body = post_body(0, 1, 2, 77)
    with connect(target) as client:
        assert get(client, reset_command(SpecPlan(vms=1)))[0] == 200
        client.request("POST", DYNAMIC_POST, body, {"Cookie": "my_cookie=user_id=10003&last_ad=5"})
        reply = client.getresponse()
        assert reply.status == 200
        assert reply.getheader("Set-Cookie") == "my_cookie=10003"
        assert files.content(0, 1, 2) in reply.read()
        status, log = get(client, FETCH)
    assert status == 200
    assert file_path(0, 1, 2).encode() in log


@pytest.mark.parametrize(
    "path", ["/", "/nothing", "/secret", "/file_set/../secret", "/file_set/dir00000/class9_9", "/file_set/dir00001/x"]
)
def test_a_missing_file_is_404(target: Target, path: str) -> None:
    with connect(target) as client:
        status, body = get(client, path)
    assert status == 404
    assert b"not in the file set" not in body


def test_connections_are_kept(target: Target) -> None:
    with connect(target) as client:
        client.connect()
        first = client.sock
        for path in [SMALL, f"{DYNAMIC_GET}?{SMALL}"] * 60:
            assert get(client, path)[0] == 200
            assert client.sock is first


def test_a_connection_is_closed_on_request(target: Target) -> None:
    with closing(socket.create_connection((target.host, target.port), timeout=10)) as client:
        client.sendall(f"GET {SMALL} HTTP/1.0\r\n\r\n".encode())
        with client.makefile("rb") as reply:
            assert reply.read().endswith(files.content(0, 0, 0))


def test_all_connections_are_kept_at_once(target: Target) -> None:
    clients = [http.client.HTTPConnection(target.host, target.port, timeout=10) for _ in range(20)]
    try:
        for path in (SMALL, f"{DYNAMIC_GET}?{SMALL}"):
            with ThreadPoolExecutor(len(clients)) as threads:
                replies = list(threads.map(get, clients, [path] * len(clients)))
            assert [status for status, _ in replies] == [200] * len(clients)
    finally:
        for client in clients:
            client.close()


@pytest.mark.parametrize("path", [file_path(0, 3, 8), f"{DYNAMIC_GET}?{file_path(0, 3, 8)}"])
def test_clients_that_leave_during_a_reply_do_no_harm(target: Target, path: str) -> None:
    for _ in range(30):
        with closing(socket.create_connection((target.host, target.port), timeout=10)) as client:
            client.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )  # close with RST instead of FIN
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            assert client.recv(100)
    with connect(target) as client:
        assert get(client, path)[0] == 200


def test_the_server_reports_its_name_and_version(vms: LocalVms) -> None:
    facts = vms.facts
    assert facts.driver == "local"
    assert any(character.isdigit() for character in facts.version)
    if facts.config:
        assert str(vms.targets[0].port) in facts.config


@pytest.mark.parametrize("server", EVERY_SERVER)
def test_a_stopped_server_leaves_nothing(server: WebServer, docroot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    others = set(children_of(os.getpid()))
    before = open_files()
    with tempfile.TemporaryDirectory(prefix="t") as directory:  # a short path, because it contains unix sockets
        monkeypatch.setenv("TMPDIR", directory)
        with running(server, [docroot]) as vms:
            target = vms.targets[0]
            (warden,) = set(children_of(os.getpid())) - others
            pids = [warden, *children_of(warden)]
            assert len(pids) == (2 if not vms.facts.config else 3)
            assert len(list(Path(directory).glob("loadgen-*/vm01"))) == 1
        assert list(Path(directory).iterdir()) == []
    assert within(10, lambda: not any(is_running(pid) for pid in pids))
    assert open_files() == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((target.host, target.port))
