"""More connections than local ports: in a separate network namespace whose kernel has 30 ports per address."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from loadgen.engine.choice import available
from tests.support.cli import LOADGEN, Done, environment
from tests.support.lab import needs_lab

pytestmark = needs_lab

SCARCE = 'ip link set lo up && echo "40000 40029" > /proc/sys/net/ipv4/ip_local_port_range && exec "$@"'
SHORT = ("--iterations", "1", "--ramp-up", "0", "--warmup", "0", "--duration", "1s", "--ramp-down", "0")


def scarce(*arguments: str, cache: Path) -> Done:
    """Run `loadgen spec` with one builtin server in a separate network namespace."""
    done = subprocess.run(
        [
            "unshare",
            "--net",
            "sh",
            "-c",
            SCARCE,
            "sh",
            LOADGEN,
            "spec",
            "--vms",
            "1",
            "--server",
            "builtin",
            *arguments,
        ],
        cwd=cache,
        env=environment(cache),
        capture_output=True,
        text=True,
        timeout=90,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("engine", [one.value for one in available()])
def test_over_loopback_more_addresses_are_used(tmp_path: Path, engine: str) -> None:
    done = scarce("--connections", "70", *SHORT, "--engine", engine, "--json", "--out", "run", cache=tmp_path)
    found = done.document
    # for 70 open ports and those in TIME_WAIT, beside the server and the responders of both engines' canaries
    assert found["plan"]["sources"] == [f"127.0.0.{number}" for number in range(2, 13)]
    assert {one["engine"] for one in found["fleet"]["engines"]} == {engine}
    assert any("connecting from 127.0.0.2 to 127.0.0.12" in note for note in found["notes"])
    checks = {check["name"]: check for check in found["trust"]["checks"]}
    assert checks["local limits"]["value"] == 0
    assert checks["ephemeral ports"]["limit"] == 27 * 11
    (target,) = found["iterations"][0]["targets"]
    assert target["errors"] == 0


HOLD_ALL = """
import errno, http.server, socket, subprocess, sys, threading
http.server.SimpleHTTPRequestHandler.protocol_version = "HTTP/1.1"  # connections are kept
server = http.server.ThreadingHTTPServer(("127.0.0.1", 8000), http.server.SimpleHTTPRequestHandler)
threading.Thread(target=server.serve_forever, daemon=True).start()
held = []
while True:
    try:
        one = socket.socket()
        one.setsockopt(socket.SOL_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT: a port that is bound could serve no address
        one.bind(("127.0.0.2", 0))
        one.connect(("127.0.0.1", 8000))
        held.append(one)
    except OSError as error:
        assert error.errno in (errno.EADDRNOTAVAIL, errno.EADDRINUSE), error
        break
assert len(held) > 20, len(held)
sys.exit(subprocess.run(sys.argv[1:]).returncode)
"""


@pytest.mark.parametrize("engine", [one.value for one in available()])
def test_a_source_address_without_ports_is_passed_over(tmp_path: Path, engine: str) -> None:
    load: tuple[str, ...] = ("http", "http://127.0.0.1:8000/", "-c", "4", "-d", "1s", "--source", "127.0.0.2,127.0.0.3")
    load = (*load, "--json", "--engine", engine, "--out", "run")
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", SCARCE, "sh", sys.executable, "-c", HOLD_ALL, LOADGEN, *load],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=90,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    found = Done(done.returncode, done.stdout, done.stderr).document
    checks = {check["name"]: check for check in found["trust"]["checks"]}
    assert checks["local limits"]["value"] == 0
    assert found["total"]["errors"] == 0


def test_an_impossible_load_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    done = scarce("--connections", "70", "--source", "127.0.0.1,127.0.0.2", "--out", "run", cache=tmp_path)
    assert done.code == 2
    message, hint = done.err.splitlines()
    assert "70 connections to 127.0.0.1 need as many local ports, and there are 60" in message
    assert "connect from 3 addresses of this machine (--source" in hint
    assert not (tmp_path / "run").exists()
