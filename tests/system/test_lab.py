"""A real lab: its links have the documented speed, and nothing is left afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy.lab.network import Lab
from deploy.lab.topology import NICS, SINK_HOST, Place
from loadgen.host.addresses import is_here
from loadgen.model.errors import FleetError, PlanError
from loadgen.model.probe import Link
from tests.support.lab import (
    held_namespaces,
    json_of,
    lab_nics_here,
    named_namespaces,
    namespaces_of,
    needs_iperf3,
    needs_lab,
    said,
    start,
)
from tests.support.vms import within

GIGE_MBIT_PER_S = 941.5  # 1448 bytes of payload in 1538 bytes on the wire

HOLDER = """
import subprocess, sys
from deploy.lab.network import Lab
from deploy.lab.topology import Place
from loadgen.model.probe import Link
with Lab(Link.NONE) as lab:
    inside = lab.inside(Place.PROXY)
    child = subprocess.Popen(
        [*inside.prefix, sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()"],
        pass_fds=inside.descriptors, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )
    child.stdout.readline()
    print(child.pid, flush=True)
    sys.stdin.read()
"""


@needs_lab
@needs_iperf3
def test_the_link_has_the_speed_of_gigabit_ethernet_in_each_direction() -> None:
    with Lab(Link.GIGE) as lab, start(lab, Place.SINK, "iperf3", "-s", "--forceflush") as server:
        try:
            assert server.stdout is not None
            while "listening" not in server.stdout.readline():
                pass
            ask = ("iperf3", "-c", SINK_HOST, "-w", "64K", "-t", "1", "-O", "1", "-J")
            there, back = (json_of(lab, Place.SOURCE, *ask, *way)["end"] for way in ((), ("-R",)))
            for end in (there, back):
                mbit_per_s = end["sum_received"]["bits_per_second"] / 1e6
                # Never faster, apart from the burst; slower only when other processes use the cores.
                assert 0.5 * GIGE_MBIT_PER_S < mbit_per_s < GIGE_MBIT_PER_S + 3
        finally:
            server.kill()


@needs_lab
def test_bytes_cross_the_nics_of_the_proxy_as_large_segments() -> None:
    with Lab(Link.NONE) as lab:
        for place, nics in NICS.items():
            assert {one["ifname"] for one in json_of(lab, place, "ip", "-j", "link")} == {"lo", *nics}
        route = json_of(lab, Place.SOURCE, "ip", "-j", "route", "get", SINK_HOST)[0]
        assert route["gateway"]
        assert said(lab, Place.PROXY, "cat", "/proc/sys/net/ipv4/ip_forward").strip() == "1"
        assert said(lab, Place.SOURCE, "cat", "/proc/sys/net/ipv4/ip_forward").strip() == "0"
        for name in ("tcp_congestion_control", "tcp_rmem", "tcp_wmem"):
            ours = Path(f"/proc/sys/net/ipv4/{name}").read_text()
            assert said(lab, Place.SINK, "cat", f"/proc/sys/net/ipv4/{name}") == ours


@needs_lab
def test_the_lab_uses_no_namespace_of_the_test_and_leaves_nothing() -> None:
    named = named_namespaces()
    before = namespaces_of([os.getpid()])
    with Lab(Link.GIGE):
        made = namespaces_of([os.getpid()]) - before
        assert len(made) == len(Place)
        assert not lab_nics_here()
        assert named_namespaces() <= named
    assert namespaces_of([os.getpid()]) == before
    assert not lab_nics_here()
    assert not held_namespaces() & made


@needs_lab
def test_two_labs_do_not_disturb_each_other() -> None:
    with Lab(Link.NONE) as one, Lab(Link.NONE) as other:
        for lab in (one, other):
            assert said(lab, Place.SOURCE, "ip", "-br", "link", "show", "va0").startswith("va0")


@needs_lab
def test_a_kill_leaves_nothing() -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with holder:
        assert holder.stdout is not None
        child = int(holder.stdout.readline())
        made = namespaces_of([holder.pid, child]) - namespaces_of([os.getpid()])
        assert len(made) == len(Place)
        holder.send_signal(signal.SIGKILL)
        holder.wait(timeout=10)
    assert within(20, lambda: not held_namespaces() & made)


@needs_lab
@pytest.mark.parametrize("after_s", [0.0, 0.02, 0.04, 0.08])
def test_a_kill_while_it_is_built_leaves_nothing(after_s: float) -> None:
    before = held_namespaces()
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        made = set[int]()

        def look() -> bool:
            made.update(
                namespaces_of([holder.pid]) - before
            )  # all processes that were seen: the process changes between its namespaces
            return bool(made)

        assert within(20, look)
        time.sleep(after_s)  # the kill happens while the lab is built
        look()
        holder.kill()
    assert within(20, lambda: not held_namespaces() & made)
    assert not lab_nics_here()


def test_a_user_who_may_not_build_a_lab_gets_a_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("deploy.lab.network._tool", lambda name: "")
    with pytest.raises(PlanError, match="ip and nsenter and tc must be installed"), Lab(Link.GIGE):
        pass


@needs_lab
def test_a_command_that_does_not_end_is_a_fleet_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hangs = tmp_path / "ip"
    hangs.write_text("#!/bin/sh\nexec sleep 30\n")
    hangs.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr("deploy.lab.network._COMMAND_TIMEOUT_S", 0.1)
    with pytest.raises(FleetError, match=r"the lab cannot be built: ip link add .* more than 0.1 s"), Lab(Link.NONE):
        pass


@needs_lab
def test_a_server_in_another_namespace_of_this_machine_is_local() -> None:
    with Lab(Link.NONE) as lab, start(lab, Place.SINK, "sleep", "30") as server:
        try:
            assert within(20, lambda: is_here(SINK_HOST))
        finally:
            server.kill()
