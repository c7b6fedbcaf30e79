"""Plans made in Python: Python does not check the types of their fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from coordinator.library import NS_PER_S, HttpPlan, HttpRequest, Phases, play
from loadgen.model.errors import PlanError
from loadgen.model.http_plan import MAX_REQUESTS
from loadgen.model.plan import SpecPlan
from loadgen.model.probe import ForwardPlan, IperfPlan

GET: Any = HttpRequest(url="http://127.0.0.1/")


def http(**fields: Any) -> HttpPlan:
    return HttpPlan(**{"requests": (GET,), **fields})


def spec(**fields: Any) -> SpecPlan:
    return SpecPlan(**{"vms": 2, **fields})


@pytest.mark.parametrize(
    ("make", "fields", "message", "hint"),
    [
        (
            http,
            {"duration_ns": 1.5 * NS_PER_S},
            "duration_ns must be a whole number, got 1500000000.0",
            "write int(...)",
        ),
        (http, {"connections": 4.0}, "connections must be a whole number, got 4.0", "write int(...)"),
        (http, {"connections": True}, "connections must be a whole number, got True", ""),
        (http, {"rate_per_s": "20"}, "rate_per_s must be a number, got '20'", ""),
        (http, {"slos": "p99<5ms"}, "slos must be a tuple of str, got 'p99<5ms'", ""),
        (http, {"requests": ("http://a/",)}, "requests must be a tuple of HttpRequest, got ('http://a/',)", ""),
        (
            http,
            {"engine": "python"},
            "engine must be of the type EngineKind, got 'python'",
            "write EngineKind.AUTO, EngineKind.PYTHON or EngineKind.COMPILED",
        ),
        (spec, {"connections": "20"}, "connections must be a whole number, got '20'", ""),
        (
            lambda measure_ns: Phases(ramp_up_ns=0, warmup_ns=0, measure_ns=measure_ns, ramp_down_ns=0, iterations=1),
            {"measure_ns": 2.5e9},
            "measure_ns must be a whole number, got 2500000000.0",
            "write int(...)",
        ),
        (IperfPlan, {"host": 7}, "host must be a text, got 7", ""),
        (ForwardPlan, {"repeats": 1.0}, "repeats must be a whole number, got 1.0", "write int(...)"),
    ],
)
def test_a_wrong_type_is_refused_when_the_plan_is_made(
    make: Callable[..., object], fields: dict[str, Any], message: str, hint: str
) -> None:
    with pytest.raises(PlanError) as caught:
        make(**fields)
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_what_python_takes_for_the_same_is_accepted() -> None:
    assert http(rate_per_s=20, requests=[GET], sources=["127.0.0.2"]).rate_per_s == 20
    assert len(http(requests=(GET,) * MAX_REQUESTS).requests) == MAX_REQUESTS


def test_a_callback_that_nobody_would_await_is_refused() -> None:
    async def forgotten(_: object) -> None: ...

    wrong: Any
    for wrong in (forgotten, 3):
        for name in ("on_progress", "on_message"):
            with pytest.raises(PlanError, match=f"{name} must be a function that is not async"):
                play(http(), **{name: wrong})
