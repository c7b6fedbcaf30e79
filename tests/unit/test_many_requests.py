"""Plans with 100,000 requests: what follows from the requests is computed once, at a bounded cost for each."""

from __future__ import annotations

import dataclasses
import json
import pickle
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from coordinator.cli.plan_options import plan_text
from coordinator.record.document import header_of, unfinished
from coordinator.record.header import Header
from coordinator.record.reader import load
from coordinator.record.writer import RecordWriter
from loadgen.model.derived import Plain, Remembering, once
from loadgen.model.errors import PlanError
from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_request import MANY, HttpRequest
from loadgen.model.http_secrets import hidden, without_secrets
from loadgen.model.secrets import MASK
from loadgen.model.toml import parse_toml
from loadgen.model.url import Url
from tests.support.https import header as http_header
from workloads.http.compile import compile_http
from workloads.http.urls import parse_urls


def urls(count: int) -> str:
    return "".join(f"http://192.0.2.1:8080/items/{n}?q={n * 7}\n" for n in range(count))


def many(count: int = MANY + 1, **fields: Any) -> tuple[HttpRequest, ...]:
    return tuple(HttpRequest(url=f"http://192.0.2.1/{n}", **fields) for n in range(count))


def header(plan: HttpPlan) -> Header[HttpPlan]:
    return dataclasses.replace(http_header(), plan=plan, targets=plan.targets)


def test_a_value_of_a_tuple_is_computed_once() -> None:
    calls = []

    def length(items: tuple[int, ...]) -> int:
        calls.append(items)
        return len(items)

    kept, plain = Remembering((1, 2, 3)), (1, 2, 3)
    assert [once(kept, length), once(kept, length), len(calls)] == [3, 3, 1]
    assert [once(plain, length), once(plain, length), len(calls)] == [3, 3, 3]
    assert kept == plain
    assert Remembering.of(kept) is kept
    again = pickle.loads(pickle.dumps(kept))
    assert (again, type(again), once(again, length), len(calls)) == (kept, Remembering, 3, 4)


def test_a_plan_with_other_values_keeps_what_follows_from_its_requests() -> None:
    plan = HttpPlan(requests=many(5))
    changed = dataclasses.replace(plan, seed=7, sources=("127.0.0.2",))
    assert changed.targets is plan.targets
    assert changed.to_dict()["requests"] is plan.to_dict()["requests"]
    assert changed.to_dict()["seed"] == 7


def test_secrets_of_many_requests_are_masked_once() -> None:
    plan = HttpPlan(requests=many(5, headers=("Authorization: secret",)))
    masked = without_secrets(plan)
    assert masked.requests[0].headers == (f"Authorization: {MASK}",)
    assert without_secrets(dataclasses.replace(plan, seed=7)).requests is masked.requests
    open_plan = HttpPlan(requests=many(5))
    assert without_secrets(open_plan) is open_plan
    assert hidden(masked) == ("-H 'Authorization: …'",)


@pytest.mark.parametrize("count", [3, MANY, MANY + 1])
def test_a_plan_of_any_length_is_read_back_from_json_and_toml(count: int) -> None:
    special = HttpRequest(url="https://b/", method="PUT", headers=("X-A: 1",), body="x", expect="2xx", weight=3)
    binary = HttpRequest(url="http://c/", method="POST", body_base64="/w==", status=201)
    plan = HttpPlan(requests=(*many(count - 2), special, binary), connections=5_000)
    assert HttpPlan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan
    assert HttpPlan.from_dict(parse_toml(plan_text(plan))) == plan


def test_only_plans_of_many_requests_leave_out_defaults() -> None:
    few, lots = (HttpPlan(requests=many(count)).to_dict()["requests"] for count in (MANY, MANY + 1))
    assert few[0] == {"url": "http://192.0.2.1/0", "method": "GET", "headers": [], "body": "", "status": 0, "weight": 1}
    assert lots[0] == {"url": "http://192.0.2.1/0"}


def test_the_record_of_many_requests_is_read_again(tmp_path: Path) -> None:
    plan = HttpPlan(requests=many(weight=2))
    with RecordWriter(tmp_path / "run", unfinished(header(plan))):
        pass
    record = load(tmp_path / "run")
    assert record.header.plan == plan
    assert header_of(record.document).plan.to_dict() == plan.to_dict()


def test_all_documents_of_a_run_share_its_requests() -> None:
    begun = header(HttpPlan(requests=many(5)))
    first, second = unfinished(begun), unfinished(dataclasses.replace(begun, started_at="later"))
    assert isinstance(first["plan"]["requests"], Plain)
    assert first["plan"]["requests"] is second["plan"]["requests"]


@pytest.mark.parametrize(
    "text",
    [
        "http://h",
        "http://h?a",
        'http://h/?a="b"',
        "http://h/{a}|b^`",
        "http://h:81/a#b",
        "HTTPS://H/a?b?c",
        "http://u:p@h/a",
        "http://[::1]:8/a",
        "http://h/ж?ю",
        "h/a?http://x",
        "https://ж.example/a~b",
    ],
)
def test_the_short_way_to_read_a_url_gives_what_the_long_way_gives(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = Url.parse(text)
    monkeypatch.setattr("loadgen.model.url._USUAL", NEVER)
    assert Url.parse(text) == usual


@pytest.mark.parametrize(
    "text", ["http:///a", "http://h:x/", "http://h/a b", "http://h/\x7f", "http://a..b/", "ftp://h/"]
)
def test_both_ways_refuse_the_same(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PlanError) as usual:
        Url.parse(text)
    monkeypatch.setattr("loadgen.model.url._USUAL", NEVER)
    with pytest.raises(PlanError) as long:
        Url.parse(text)
    assert (usual.value.message, usual.value.hint) == (long.value.message, long.value.hint)


class _Never:
    def fullmatch(self, text: str) -> None:
        """No text is usual."""


NEVER = _Never()


def before_traffic(text: str) -> None:
    """What a run does with its requests before there is traffic, without I/O."""
    plan = HttpPlan(requests=parse_urls(text))
    for seed in range(3):  # as the command line, `settle` and the header do
        plan = dataclasses.replace(plan, seed=seed)
        plan.check_values()
    hidden(plan)
    for _ in range(3):  # the record is written when it is begun, placed, and ready
        unfinished(header(plan))
    _ = plan.targets, plan.shares, plan.dialed
    compile_http(plan)


def calls_of(work: Callable[[], None]) -> int:
    """The calls of functions in Python that `work` makes: a measure of time that no other process disturbs."""
    found = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal found
        found += event == "call"

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return found


def test_the_work_before_traffic_is_a_few_calls_for_each_url() -> None:
    small, large = (urls(count) for count in (2_000, 4_000))
    before_traffic(small)  # imports, and what is kept between plans
    first, second = calls_of(lambda: before_traffic(small)), calls_of(lambda: before_traffic(large))
    assert (second - first) / 2_000 < 40


def test_the_memory_for_each_url_is_bounded() -> None:
    text = urls(10_000)
    before_traffic(urls(10))
    tracemalloc.start()
    try:
        before_traffic(text)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak / 10_000 < 1_200  # bytes
