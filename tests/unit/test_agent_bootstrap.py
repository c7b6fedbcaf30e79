from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.agent.bootstrap import Collect, Serve, bootstrap, read_bootstrap
from loadgen.model.errors import PlanError

SERVE = Serve(name="m1", scheduler="tls://192.0.2.1:4711", credentials="PEM", bind="192.0.2.7", spool="/var/tmp/s")


@pytest.mark.parametrize("task", [SERVE, Collect(run_id="r", name="m1", spool="", delete=True)])
def test_the_task_of_a_worker_is_read(task: Serve | Collect) -> None:
    assert read_bootstrap(bootstrap(task)) == task


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (None, "standard input ended before a task arrived"),
        ({}, "None is not a task of a worker"),
        ({"do": "dance"}, "'dance' is not a task of a worker"),
        ({"do": ["serve"]}, r"\['serve'\] is not a task of a worker"),
        ({"do": "serve", "name": "a"}, r"serve\.scheduler is missing"),
        ({**bootstrap(SERVE), "name": 1}, r"serve\.name must be a text, got 1"),
        ({**bootstrap(SERVE), "root": True}, r"unknown key serve\.root"),
        ({"do": "collect", "run_id": "r", "name": "a", "delete": 1}, r"collect\.delete must be true or false"),
    ],
)
def test_an_invalid_task_is_refused_in_one_line(message: dict[str, Any] | None, why: str) -> None:
    with pytest.raises(PlanError, match=why) as caught:
        read_bootstrap(message)
    assert "\n" not in caught.value.message


PLAIN = st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.lists(st.integers())


@given(st.dictionaries(st.sampled_from(["do", "name", "scheduler", "run_id"]) | st.text(), PLAIN))
def test_any_input_is_read_or_refused(message: dict[str, Any]) -> None:
    for do in ("serve", "collect", message.get("do")):
        with contextlib.suppress(PlanError):
            read_bootstrap({**message, "do": do})
