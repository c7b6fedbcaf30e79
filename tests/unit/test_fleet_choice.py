"""The choice of load machines: whether they are this machine, and the choice as plain data."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from coordinator.fleet.choice import FleetChoice
from deploy.hosts.inventory import Host
from loadgen.model.errors import PlanError


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
        (FleetChoice(hosts=(Host(name="localhost"),)), False),  # the port may lead to another machine
    ],
    ids=lambda value: "" if isinstance(value, bool) else value.scheduler or str(value.listen) or value.way.value,
)
def test_only_addresses_that_are_certainly_this_machine_count_as_local(choice: FleetChoice, here: bool) -> None:
    assert choice.is_here is here


names = st.from_regex(r"[a-z][a-z0-9.-]{0,8}", fullmatch=True)
hosts = st.builds(
    Host,
    name=names,
    address=st.just("") | names,
    user=st.just("") | names,
    port=st.integers(0, 65535),
    cores=st.integers(0, 64),
    spool=st.just("") | st.just("/var/tmp/spool"),
)
engines = st.integers(0, 99)
choices = st.one_of(
    st.builds(FleetChoice, engines=engines),
    st.builds(
        FleetChoice,
        hosts=st.lists(hosts, min_size=1, max_size=3, unique_by=lambda host: host.name).map(tuple),
        coordinator=st.just("") | names,
        engines=engines,
    ),
    st.builds(FleetChoice, scheduler=names, workers=st.integers(1, 9), engines=engines),
    st.builds(
        FleetChoice,
        listen=st.tuples(names | st.just("2001:db8::7"), st.integers(1, 65535)),
        certs=st.sampled_from([Path("certs"), Path("/etc/loadgen/certs")]),
        workers=st.integers(1, 9),
    ),
)


@given(choices)
def test_a_choice_survives_json_and_toml(choice: FleetChoice) -> None:
    plain = choice.to_dict()
    assert FleetChoice.from_dict(json.loads(json.dumps(plain))) == choice
    assert FleetChoice.from_dict(tomllib.loads(tomli_w.dumps(plain))) == choice


def test_only_settings_that_differ_from_the_default_are_written() -> None:
    assert FleetChoice().to_dict() == {}
    assert FleetChoice(hosts=(Host(name="a"), Host(name="b", address="c", port=2222)), engines=2).to_dict() == {
        "hosts": [{"name": "a"}, {"name": "b", "address": "c", "port": 2222}],
        "engines": 2,
    }
    assert FleetChoice(listen=("::1", 4711), certs=Path("certs")).to_dict() == {
        "listen": "[::1]:4711",
        "certs": "certs",
    }


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"host": []}, "unknown key fleet.host"),
        ({"hosts": "a,b"}, "fleet.hosts must be a list, got 'a,b'"),
        ({"hosts": [{"address": "a"}]}, "fleet.hosts[0].name is missing"),
        ({"hosts": [{"name": "a", "port": 70000}]}, "fleet.hosts[0]: host a: port 70000 is not in 1..65535"),
        ({"hosts": [{"name": "a"}, {"name": "a", "port": 1}]}, "fleet.hosts: two hosts have the name 'a'"),
        ({"hosts": [{"name": "a"}], "scheduler": "b:1"}, "fleet.hosts and fleet.scheduler cannot be combined"),
        ({"listen": "0.0.0.0:1"}, "fleet.listen and fleet.certs must be given together"),
        ({"certs": "certs"}, "fleet.listen and fleet.certs must be given together"),
        ({"listen": "here", "certs": "certs"}, "fleet.listen: "),
        ({"workers": 2}, "fleet.workers needs fleet.listen or fleet.scheduler"),
        ({"scheduler": "a:1", "workers": 0}, "fleet.workers must be at least 1, got 0"),
        ({"coordinator": "a"}, "fleet.coordinator needs fleet.hosts"),
        ({"engines": -1}, "fleet.engines must be at least 0, got -1"),
        ({"engines": True}, "fleet.engines must be a whole number, got true"),
    ],
)
def test_invalid_choices_are_refused_in_one_line(data: dict[str, Any], said: str) -> None:
    with pytest.raises(PlanError) as refused:
        FleetChoice.from_dict(data)
    assert refused.value.message.startswith(said)
    assert "\n" not in refused.value.message
