from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.vms.base import vm_names
from deploy.wire import AppWorker, Exited, Hello, Launch, decode_event, encode_event

TEXT = st.text(st.characters(codec="utf-8"))
APPS = st.builds(
    AppWorker,
    docroot=TEXT,
    workdir=TEXT,
    static=st.booleans(),
    unix_socket=TEXT,
    host=TEXT,
    port=st.integers(0, 65535),
)
LAUNCHES = st.builds(Launch, vm=TEXT, directory=TEXT, app=st.none() | APPS, program=st.lists(TEXT).map(tuple))
EVENTS = st.one_of(
    st.builds(Hello, directory=TEXT),
    st.builds(Exited, vm=TEXT, process=TEXT, status=st.integers(), log=st.lists(TEXT).map(tuple)),
)


@given(LAUNCHES)
def test_a_command_is_one_line_and_reads_back(launch: Launch) -> None:
    line = launch.encode()
    assert line.index(b"\n") == len(line) - 1
    assert Launch.decode(line) == launch


@given(EVENTS)
def test_an_event_is_one_line_and_reads_back(event: Hello | Exited) -> None:
    line = encode_event(event)
    assert line.index(b"\n") == len(line) - 1
    assert decode_event(line) == event


@pytest.mark.parametrize(
    ("status", "log", "reason"),
    [
        (1, ("[emerg] bad",), "nginx exited with status 1: [emerg] bad"),
        (0, (), "nginx exited with status 0"),
        (-9, (), "nginx was killed by SIGKILL"),
        (-99, (), "nginx was killed by signal 99"),
        (1, ("a", "a", "b", "c", "d"), "nginx exited with status 1: b; c; d"),
        (
            1,
            ("Traceback (most recent call last):", "  File x", "OSError: no"),
            "nginx exited with status 1: OSError: no",
        ),
    ],
)
def test_the_reason_is_one_line(status: int, log: tuple[str, ...], reason: str) -> None:
    assert Exited(vm="vm01", process="nginx", status=status, log=log).reason == reason


def test_names_have_equal_widths() -> None:
    assert vm_names(2) == ("vm01", "vm02")
    assert vm_names(100)[0] == "vm001"
