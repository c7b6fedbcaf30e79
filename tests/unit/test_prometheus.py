"""The metrics as Prometheus reads them: its own parsers take both formats, and the numbers are those of the view."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from coordinator.output.metrics_page import PAGE, page_text
from coordinator.output.prometheus import OPEN_METRICS, PLAIN, content_type, write_metrics
from coordinator.output.watched import Watched
from loadgen import __version__
from tests.support.views import run_view
from tests.unit.test_live_metrics import VIEWS, http_view

EACH_VIEW = pytest.mark.parametrize("view", [None, *VIEWS], ids=lambda view: type(view).__name__)


def parsed(text: str, form: str) -> list[Metric]:
    if form == PLAIN:
        return list(text_string_to_metric_families(text))
    return list(openmetrics.text_string_to_metric_families(text))  # type: ignore[no-untyped-call]


def values(families: Iterable[Metric], name: str) -> dict[tuple[str, ...], float]:
    return {tuple(one.labels.values()): one.value for family in families for one in family.samples if one.name == name}


def samples(families: Iterable[Metric]) -> Iterator[tuple[str, tuple[tuple[str, str], ...]]]:
    return ((one.name, tuple(sorted(one.labels.items()))) for family in families for one in family.samples)


@EACH_VIEW
@pytest.mark.parametrize("form", [PLAIN, OPEN_METRICS])
def test_the_parsers_of_prometheus_take_the_metrics_of_each_view(view: object, form: str) -> None:
    watched = Watched(kind="spec", view=view, ended={"conforming": 2, "INVALID": 1})
    found = parsed(write_metrics(watched, form), form)
    assert all(family.documentation and family.type != "unknown" for family in found)
    names = list(samples(found))
    assert len(names) == len(set(names))
    assert values(found, "loadgen_build_info") == {(__version__,): 1}
    assert values(found, "loadgen_runs_ended_total") == {("conforming",): 2, ("INVALID",): 1}
    lines = write_metrics(watched, form).splitlines()
    assert len(names) == sum(not line.startswith("#") for line in lines)


@EACH_VIEW
def test_both_formats_have_the_same_samples(view: object) -> None:
    watched = Watched(kind="http", view=view)
    plain, opened = (parsed(write_metrics(watched, form), form) for form in (PLAIN, OPEN_METRICS))
    assert set(samples(plain)) == set(samples(opened))


def test_types_follow_the_conventions() -> None:
    found = {one.name: one.type for one in parsed(write_metrics(Watched(kind="http", view=http_view())), PLAIN)}
    assert found["loadgen_target_operations"] == "counter"
    assert found["loadgen_target_operations_per_second"] == "gauge"
    assert found["loadgen_run_response_seconds"] == "summary"  # no other type may have the label `quantile`


def test_units_are_told_in_openmetrics() -> None:
    found = {one.name: one.unit for one in parsed(write_metrics(Watched(view=http_view()), OPEN_METRICS), OPEN_METRICS)}
    assert found["loadgen_run_response_seconds"] == "seconds"
    assert found["loadgen_target_received_bytes"] == "bytes"


def test_counters_are_those_of_the_rows() -> None:
    view = run_view(2)
    rows = tuple(dataclasses.replace(row, operations=7, received_bytes=1 << 40) for row in view.targets)
    found = parsed(write_metrics(Watched(view=dataclasses.replace(view, targets=rows))), PLAIN)
    assert values(found, "loadgen_target_operations_total") == {("vm1",): 7, ("vm2",): 7}
    assert values(found, "loadgen_target_received_bytes_total") == {("vm1",): 1 << 40, ("vm2",): 1 << 40}


def test_a_time_without_an_upper_bound_is_infinite() -> None:
    found = parsed(write_metrics(Watched(view=http_view())), PLAIN)
    by_bound = {
        one.labels["bound"]: one.value
        for family in found
        for one in family.samples
        if one.name == "loadgen_run_response_seconds" and one.labels["quantile"] == "0.99"
    }
    assert by_bound == {"low": 0.02, "high": math.inf}


@pytest.mark.parametrize("form", [PLAIN, OPEN_METRICS])
@pytest.mark.parametrize("name", ['a"b', "back\\slash", "two\nlines", "<b>", "VM ü", "{x}", 'odd\\"', "cut \udce9"])
def test_names_of_targets_are_escaped(name: str, form: str) -> None:
    view = http_view()
    row = dataclasses.replace(view.targets[0], name=name)
    found = parsed(write_metrics(Watched(view=dataclasses.replace(view, targets=(row,))), form), form)
    expected = name.encode("utf-8", "replace").decode()
    assert values(found, "loadgen_target_connections") == {(expected,): 4}


def test_targets_of_the_same_name_are_told_apart() -> None:
    view = http_view()
    rows = tuple(dataclasses.replace(view.targets[0], connections=number) for number in (1, 2, 3))
    found = parsed(write_metrics(Watched(view=dataclasses.replace(view, targets=rows))), PLAIN)
    assert values(found, "loadgen_target_connections") == {("a",): 1, ("a (2)",): 2, ("a (3)",): 3}


def test_openmetrics_is_for_those_who_ask_for_it() -> None:
    prometheus = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
    assert content_type(prometheus) == OPEN_METRICS
    assert content_type("text/plain") == content_type("*/*") == content_type("") == PLAIN


def test_the_page_of_metrics_is_the_one_that_the_code_makes() -> None:
    assert PAGE.read_text(encoding="utf-8") == page_text(), "do not edit docs/metrics.md by hand; run: make schema"
