"""The exported metrics of a run in progress: names by the conventions, and the numbers that the terminal shows."""

from __future__ import annotations

import dataclasses
import math
import re
from collections import Counter
from collections.abc import Iterable

import numpy as np
import pytest

from coordinator.output.live_metrics import METRICS, Sample, samples_of
from coordinator.output.terminal.http_view import HttpTargetRow, HttpView
from coordinator.output.terminal.isolate_live import IsolateProgress
from coordinator.output.terminal.pack_live import PackProgress
from coordinator.output.terminal.progress import Progress
from coordinator.output.terminal.relative_live import RelativeProgress
from coordinator.output.terminal.runview import Position
from loadgen.measure.histogram import Histogram
from loadgen.measure.isolation import Phase, Probed
from loadgen.measure.throughput import Tick
from loadgen.measure.trials import Copy, Trial
from loadgen.model.isolate import Hog
from loadgen.model.probe import Kind
from loadgen.verdict.span import Span
from tests.support.views import fleet_view, run_view, starting_view

SECOND_NS = 1_000_000_000


def found(samples: Iterable[Sample], name: str) -> dict[tuple[str, ...], float]:
    return {tuple(one.labels.values()): one.value for one in samples if one.metric.name == name}


def http_view() -> HttpView:
    row = HttpTargetRow(
        name="a",
        connections=4,
        per_s=100.0,
        mbit_per_s=8.0,
        p50_ms=Span(1.0, 1.0),
        p99_ms=Span(20.0, None),
        max_ms=Span(30.0, None),
        errors=2,
        shed=3,
    )
    position = Position(
        phase="measure", iteration=0, iterations=1, phase_elapsed_s=1, phase_length_s=5, elapsed_s=2, total_s=7
    )
    return HttpView(
        title="t", position=position, interval=1, targets=(row,), total=row, engines=(), statuses={200: 98, 503: 2}
    )


def network_view(kind: Kind = Kind.STREAM) -> Progress:
    tick = Tick(start_ns=0, end_ns=SECOND_NS // 2, omitted=False, sent_bytes=0, received_bytes=1000, rtt_ns=2_000_000)
    return Progress(
        title="t",
        step=1,
        steps=4,
        label="receive 64K",
        kind=kind,
        elapsed_s=1,
        total_s=9,
        ticks=(tick,),
        finished=(),
        notices=(),
    )


def isolate_view() -> IsolateProgress:
    quiet = Histogram.of(np.full(100, 1_000_000))
    probed = Probed(answered=quiet, lost=0, timeout_ns=SECOND_NS, late=quiet)
    phases = (Phase(hog=Hog.NONE, game=probed, echo=None), Phase(hog=Hog.CPU, game=probed, echo=None, failed="broken"))
    return IsolateProgress(hog="disk", doing="probe", phases=phases, planned=3)


def relative_view() -> RelativeProgress:
    trial = Trial(environment="ns", round=1, position=1, copies=(Copy(vm="vm1", wall_ns=2 * SECOND_NS),))
    return RelativeProgress(
        round=1, rounds=3, environments=("ns", "oci"), environment="oci", vms=1, doing="run", done=(trial,)
    )


PACK = PackProgress(doing="start", vms=16, wanted=0, pss_bytes=-1, free_bytes=5 << 30, kept_bytes=1 << 30)
VIEWS = (
    run_view(),
    fleet_view(lost=(1,)),
    starting_view(),
    http_view(),
    network_view(),
    dataclasses.replace(network_view(), ticks=()),
    network_view(Kind.RR),
    PACK,
    isolate_view(),
    relative_view(),
)


def test_names_follow_the_conventions_of_prometheus_and_of_opentelemetry() -> None:
    for one in METRICS:
        assert re.fullmatch(r"loadgen(\.[a-z]+)+", one.otlp)
        assert re.fullmatch(r"loadgen(_[a-z]+)+", one.prometheus)
        assert all(re.fullmatch(r"[a-z]+", label) for label in one.labels)
    assert max(Counter(one.prometheus for one in METRICS).values()) == 1
    names = {one.name: one.prometheus for one in METRICS}
    assert names["target.operations"] == "loadgen_target_operations_per_second"
    assert names["target.received"] == "loadgen_target_received_bytes_per_second"
    assert names["engine.cpu"] == "loadgen_engine_cpu_ratio"
    assert names["run.response"] == "loadgen_run_response_seconds"


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: type(view).__name__)
def test_a_view_gives_each_series_once_with_all_labels_of_its_metric(view: object) -> None:
    samples = list(samples_of(view))
    assert all(one.metric in METRICS and tuple(one.labels) == one.metric.labels for one in samples)
    assert max(Counter((one.metric.name, *one.labels.values()) for one in samples).values()) == 1
    assert not any(math.isnan(one.value) for one in samples)


def test_every_metric_is_read_off_some_view() -> None:
    full = dataclasses.replace(
        network_view(),
        ticks=(
            Tick(
                start_ns=0,
                end_ns=1,
                omitted=False,
                sent_bytes=1,
                received_bytes=1,
                retransmits=0,
                rtt_ns=1,
                packets=2,
                lost=1,
            ),
        ),
    )
    pack = dataclasses.replace(PACK, pss_bytes=1)
    given = {one.metric.name for view in (*VIEWS, full, pack) for one in samples_of(view)}
    assert given == {one.name for one in METRICS}


def test_the_numbers_of_spec_are_those_of_the_terminal_in_base_units() -> None:
    view = run_view(2, failing=(1,))
    samples = list(samples_of(view))
    assert found(samples, "target.conforming") == {("vm1",): 20, ("vm2",): 17}
    assert found(samples, "target.operations")["vm1",] == view.targets[0].ops_per_s
    assert found(samples, "target.received")["vm1",] == pytest.approx(view.targets[0].mbit_per_s * 1e6 / 8)
    assert found(samples, "target.response")["vm2", "0.99", "high"] == pytest.approx(0.843)
    assert found(samples, "run.errors") == {(): 3}


def test_before_the_first_complete_second_no_rate_is_exported() -> None:
    names = {one.metric.name for one in samples_of(starting_view())}
    assert "target.connections" in names
    assert not names & {"target.operations", "run.operations", "target.conforming", "run.errors", "run.response"}


def test_a_time_without_upper_bound_is_infinite() -> None:
    samples = list(samples_of(http_view()))
    assert found(samples, "run.response")["0.99", "low"] == pytest.approx(0.02)
    assert found(samples, "run.response")["0.99", "high"] == math.inf
    assert found(samples, "run.replies") == {("200",): 98, ("503",): 2}


def test_rates_of_a_test_are_per_second_and_transactions_are_no_bytes() -> None:
    samples = list(samples_of(network_view()))
    assert found(samples, "test.received") == {("receive 64K",): 2000}
    assert found(samples, "test.rtt") == {("receive 64K",): 0.002}
    assert found(samples, "test.retransmits") == {}  # not known
    samples = list(samples_of(network_view(Kind.RR)))
    assert found(samples, "test.transactions") == {("receive 64K",): 2000}
    assert found(samples, "test.received") == {}


def test_a_phase_that_was_broken_off_has_no_latency() -> None:
    assert list(found(samples_of(isolate_view()), "isolate.latency")) == [("none", "game")]


def test_another_value_is_no_live_view() -> None:
    with pytest.raises(TypeError, match="str is no live view"):
        samples_of("run")
