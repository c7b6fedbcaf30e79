"""Which machines a choice means."""

from __future__ import annotations

import pytest

from coordinator.fleet.choice import FleetChoice
from deploy.hosts.inventory import Host


@pytest.mark.parametrize(
    ("choice", "here"),
    [
        (FleetChoice(), True),
        (FleetChoice(scheduler="tcp://127.0.0.1:8786"), True),
        (FleetChoice(scheduler="127.0.0.1:8786"), True),
        (FleetChoice(scheduler="localhost:8786"), True),
        (FleetChoice(scheduler="tls://[::1]:8786"), True),
        (FleetChoice(scheduler="192.0.2.1:8786"), False),
        (FleetChoice(scheduler="tcp://[::1"), False),
        (FleetChoice(listen=("127.0.0.1", 0)), True),
        (FleetChoice(listen=("0.0.0.0", 8786)), False),
        (FleetChoice(hosts=(Host(name="localhost"),)), False),  # it may be a port that leads elsewhere
    ],
    ids=lambda value: "" if isinstance(value, bool) else value.scheduler or str(value.listen) or value.way.value,
)
def test_only_what_is_surely_this_machine_is_here(choice: FleetChoice, here: bool) -> None:
    assert choice.is_here is here
