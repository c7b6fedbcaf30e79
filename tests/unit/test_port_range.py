"""Ranges of ports, and where they may be given."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from coordinator.cli import app
from coordinator.fleet.choice import FleetChoice
from coordinator.fleet.dask.hub import free_port
from loadgen.agent.bootstrap import Serve, bootstrap, read_bootstrap
from loadgen.model.errors import PlanError
from loadgen.model.port_range import PortRange, parse_ports


@pytest.mark.parametrize(
    ("text", "found", "shown"),
    [
        ("15000-15100", PortRange(15000, 15100), "15000-15100"),
        (" 15000:15100 ", PortRange(15000, 15100), "15000-15100"),
        ("15000", PortRange(15000, 15000), "15000"),
        ("1-65535", PortRange(1, 65535), "1-65535"),
    ],
)
def test_a_range_is_two_ports_or_one(text: str, found: PortRange, shown: str) -> None:
    assert parse_ports(text) == found
    assert str(found) == shown
    assert parse_ports(shown) == found


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("15100-15000", "15100-15000 is not a range of ports from 1 to 65535"),
        ("0-10", "0-10 is not a range"),
        ("1-70000", "1-70000 is not a range"),
        ("a-b", "'a-b' is not a range of ports"),
        ("", "'' is not a range of ports"),
        ("1-2-3", "'1-2-3' is not a range of ports"),
        ("٣-٤", "is not a range of ports"),
    ],
)
def test_anything_else_is_refused(text: str, why: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse_ports(text)
    assert why in caught.value.message


def test_a_choice_with_ports_reads_back_and_needs_hosts() -> None:
    choice = FleetChoice.from_dict({"hosts": [{"name": "a"}], "ports": "15000-15100"})
    assert FleetChoice.from_dict(choice.to_dict()) == choice
    with pytest.raises(PlanError, match=r"fleet\.ports needs fleet\.hosts"):
        FleetChoice.from_dict({"ports": "15000"})


@pytest.mark.parametrize("command", [["http", "http://127.0.0.1/"], ["fleet", "check", "--scheduler", "tcp://a:1"]])
def test_ports_without_hosts_are_refused(command: list[str]) -> None:
    done = CliRunner().invoke(app, [*command, "--ports", "15000-15100"])
    assert isinstance(done.exception, PlanError)
    assert done.exception.message == "--ports is given without --hosts"


def test_a_worker_gets_its_ports_and_nothing_that_is_empty() -> None:
    task = Serve(name="a", scheduler="tls://192.0.2.1:1", ports="15000-15100")
    assert read_bootstrap(bootstrap(task)) == task
    assert set(bootstrap(Serve(name="a", scheduler="s"))) == {"do", "name", "scheduler"}


def test_the_first_free_port_is_taken_and_a_full_range_is_named() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PlanError, match=f"cannot listen at any of the ports {port}: cannot listen at 127"):
            free_port(["127.0.0.1"], PortRange(port, port))
        assert free_port(["127.0.0.1"], PortRange(port, min(port + 50, 65535))) > port
