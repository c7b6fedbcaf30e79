from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import coordinator.record
from coordinator.cli import app
from coordinator.kinds.catalog import judges
from coordinator.output.judged import read_judged
from coordinator.record.document import finished, header_of, result_of, unfinished
from coordinator.record.header import RecordError
from coordinator.record.iperf3 import run_document
from coordinator.record.kinds import KIND_SPEC
from coordinator.record.network import Kept
from coordinator.record.reader import load
from coordinator.record.writer import INTERVALS, RUN, RecordWriter, claim_directory
from loadgen.measure.forwarding import NO_REPORT, Passage
from loadgen.measure.throughput import UNKNOWN, Granted
from loadgen.model.probe import Direction, IperfPlan, Kind, Link, Mode, Transport
from loadgen.verdict.network import judge_forward, judge_iperf
from loadgen.verdict.result import Verdict
from tests.support.networks import (
    FORWARD,
    IPERF,
    forward_header,
    forward_passages,
    iperf_header,
    iperf_results,
    latency,
    probe_result,
)

END = "2026-02-03T04:06:30+00:00"
OTHERS = (0.02, "sshd (pid 7)")
SMALL = dataclasses.replace(IPERF, windows_bytes=(16 << 10, 0), repeats=2)
PLANS = {
    "tcp": SMALL,
    "both ways": dataclasses.replace(SMALL, directions=(Direction.BIDIR,), parallel=2),
    "udp": dataclasses.replace(SMALL, transport=Transport.UDP, rate_bps=10_000_000),
    "rr": dataclasses.replace(SMALL, kind=Kind.RR, directions=(Direction.SEND,), windows_bytes=(0,)),
    "missed": dataclasses.replace(SMALL, at_least_bps=10**12),
}


def iperf_document(plan: IperfPlan = SMALL) -> dict[str, Any]:
    result = judge_iperf(plan, iperf_results(plan), others=OTHERS)
    return through_json(finished(iperf_header(plan), result, finished_at=END))


def forward_document() -> dict[str, Any]:
    result = judge_forward(FORWARD, forward_passages(), others=OTHERS)
    return through_json(finished(forward_header(), result, finished_at=END))


def through_json(document: dict[str, Any]) -> dict[str, Any]:
    data = json.loads(json.dumps(document, allow_nan=False))
    assert isinstance(data, dict)
    return data


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json.loads((Path(coordinator.record.__file__).parent / "run.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    # By kind, because the message of a failing `oneOf` has no details
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("name", PLANS)
def test_an_iperf_result_reads_back_from_its_document(name: str) -> None:
    plan = PLANS[name]
    result = judge_iperf(plan, iperf_results(plan), others=OTHERS, notes=("the disk was full",))
    document = through_json(finished(iperf_header(plan), result, finished_at=END))
    assert result_of(document) == result
    assert header_of(document) == iperf_header(plan)


@pytest.mark.parametrize("links", [(Link.GIGE,), (Link.GIGE, Link.NONE), (Link.LOOPBACK,)])
def test_a_forward_result_reads_back_from_its_document(links: tuple[Link, ...]) -> None:
    plan = dataclasses.replace(FORWARD, links=links)
    result = judge_forward(plan, forward_passages(plan), others=OTHERS)
    document = through_json(finished(forward_header(plan), result, finished_at=END))
    assert result_of(document) == result
    assert header_of(document) == forward_header(plan)


@pytest.mark.parametrize("name", PLANS)
def test_an_iperf_document_fits_the_schema(validator: jsonschema.Draft202012Validator, name: str) -> None:
    validator.validate(iperf_document(PLANS[name]))


def test_the_other_documents_fit_the_schema_too(validator: jsonschema.Draft202012Validator) -> None:
    interrupted = judge_forward(FORWARD, forward_passages()[:4], others=OTHERS, interrupted=True)
    documents = [
        unfinished(iperf_header()),
        unfinished(forward_header()),
        forward_document(),
        finished(forward_header(), interrupted, finished_at=END),
    ]
    for document in documents:
        validator.validate(through_json(document))


@pytest.mark.parametrize("missing", ["verdict", "trust", "results", "environment", "plan", "peer"])
def test_the_schema_detects_missing_fields(validator: jsonschema.Draft202012Validator, missing: str) -> None:
    document = iperf_document()
    del document[missing]
    assert not validator.is_valid(document)


@pytest.mark.parametrize(
    "place", [(), ("results", 0), ("results", 0, "runs", 0, "end"), ("results", 0, "runs", 0, "end", "sum_sent")]
)
def test_the_schema_detects_undescribed_fields(
    validator: jsonschema.Draft202012Validator, place: tuple[Any, ...]
) -> None:
    document = iperf_document()
    inner = document
    for key in place:
        inner = inner[key]
    inner["colour"] = "green"
    assert not validator.is_valid(document)


def test_documented_fields_of_iperf_are_present() -> None:
    document = iperf_document()
    assert (document["kind"], document["verdict"], document["exit_code"]) == ("iperf", "conforming", 0)
    first = document["results"][0]
    assert (first["window_bytes"], first["direction"], len(first["runs"])) == (16384, "receive", 2)
    assert first["mbit_per_s"] == pytest.approx(504.25)
    assert first["cpu_s_per_gb"] == pytest.approx(0.235)
    assert {(row["window_bytes"], row["direction"]) for row in document["results"]} == {
        (window, way) for window in (16384, 0) for way in ("receive", "send")
    }


def test_documented_fields_of_forward_are_present() -> None:
    document = forward_document()
    assert document["kind"] == "forward"
    by_mode = {row["mode"]: row for row in document["results"] if row["window_bytes"] == 65536 and row["flows"] == 1}
    assert set(by_mode) == {"direct", "splice", "copy"}
    splice = by_mode["splice"]
    assert splice["mbit_per_s"] == pytest.approx(940.5)
    assert splice["cpu_s_per_gb"] == pytest.approx(0.18)
    assert by_mode["direct"]["cpu_s_per_gb"] is None
    (nic, *_) = splice["runs"][0]["proxy"]["nics"]
    assert (nic["name"], nic["rx_bytes"] > splice["runs"][0]["end"]["sum_received"]["bytes"]) == ("va1", True)
    assert all(proof["ok"] for proof in document["nics"])


def test_unknown_values_are_null() -> None:
    row = iperf_document()["results"][0]
    assert (row["loss_share"], row["jitter_ns"], row["latency"]) == (None, None, None)
    assert forward_document()["latencies"][0]["added_ns"] is None


def test_without_a_proxy_host_its_fields_are_null(validator: jsonschema.Draft202012Validator) -> None:
    plan = dataclasses.replace(FORWARD, links=(Link.REAL,), modes=(Mode.DIRECT,), sink="192.0.2.2:5201")
    alone = [dataclasses.replace(one, before=NO_REPORT, after=NO_REPORT) for one in forward_passages(plan)]
    result = judge_forward(plan, alone, others=OTHERS)
    document = through_json(finished(forward_header(plan), result, finished_at=END))
    validator.validate(document)
    assert [run["proxy"] for run in document["results"][0]["runs"]] == [None] * plan.repeats


def test_request_response_has_no_rate_in_the_document() -> None:
    (row,) = iperf_document(PLANS["rr"])["results"]
    assert (row["mbit_per_s"], row["rates"], row["runs_mbit_per_s"]) == (None, [], [])


def test_a_time_that_is_a_lower_bound_is_an_interval(validator: jsonschema.Draft202012Validator) -> None:
    stall = dataclasses.replace(
        latency(), p99_ns=980_000_000, max_ns=10**9, unanswered=1, stalled_ns=10**9, lower_bounds=("p99_ns", "max_ns")
    )
    plan = PLANS["rr"]
    result = judge_iperf(plan, [dataclasses.replace(one, latency=stall) for one in iperf_results(plan)], others=OTHERS)
    document = through_json(finished(iperf_header(plan), result, finished_at=END))
    validator.validate(document)
    (row,) = document["results"]
    for found in (row["latency"], *(one["latency"] for one in row["runs"])):
        assert found["intervals"] == {
            "p99_ns": {"low": 980_000_000, "high": None},
            "max_ns": {"low": 10**9, "high": None},
        }
    assert result_of(document) == result


def test_a_rate_that_this_end_limited_is_an_interval(validator: jsonschema.Draft202012Validator) -> None:
    busy = [dataclasses.replace(one, local_busiest_ns=one.wall_ns) for one in iperf_results(SMALL)]
    result = judge_iperf(SMALL, busy, others=OTHERS)
    document = through_json(finished(iperf_header(SMALL), result, finished_at=END))
    validator.validate(document)
    for row in document["results"]:
        assert row["limited_here"]
        assert row["interval"] == {"low_mbit_per_s": row["mbit_per_s"], "high_mbit_per_s": None}
    assert result_of(document) == result
    assert not any("interval" in row for row in iperf_document()["results"])


def test_a_rate_that_the_source_limited_is_an_interval(validator: jsonschema.Draft202012Validator) -> None:
    def busy(one: Passage) -> Passage:
        return dataclasses.replace(one, result=dataclasses.replace(one.result, local_busiest_ns=one.result.wall_ns))

    result = judge_forward(FORWARD, [busy(one) for one in forward_passages()], others=OTHERS)
    document = through_json(finished(forward_header(), result, finished_at=END))
    validator.validate(document)
    for row in document["results"]:
        assert row["limited_by"] == "source"
        assert row["interval"] == {"low_mbit_per_s": row["mbit_per_s"], "high_mbit_per_s": None}
    assert {row["connections_limited_by"] for row in document["latencies"]} == {"source"}
    assert result_of(document) == result


def test_an_unfinished_document_says_so_and_claims_nothing() -> None:
    for document in (unfinished(iperf_header()), unfinished(forward_header())):
        assert (document["verdict"], document["exit_code"], document["results"]) == ("unfinished", None, [])
        assert document["trust"] == {"valid": None, "checks": []}


# In the format of iperf3


def test_a_sending_test_in_the_format_of_iperf3() -> None:
    """One second is omitted and two seconds are measured: iperf3 counts time from the end of the omitted part."""
    test = dataclasses.replace(SMALL, duration_ns=2_000_000_000).test(16 << 10, Direction.SEND)
    run = run_document(probe_result(test, 800.0))
    sums = [one["sum"] for one in run["intervals"]]
    assert [(one["start"], one["end"], one["omitted"]) for one in sums] == [
        (0.0, 1.0, True),
        (0.0, 1.0, False),
        (1.0, 2.0, False),
    ]
    assert all(one["sender"] and one["bits_per_second"] == 800e6 and one["bytes"] == 100_000_000 for one in sums)
    assert (sums[1]["retransmits"], sums[1]["rtt"], sums[1]["snd_cwnd"]) == (1, 210, 524_288)
    sent, received = run["end"]["sum_sent"], run["end"]["sum_received"]
    assert (sent["bytes"], sent["seconds"], sent["bits_per_second"]) == (200_000_000, 2.0, 800e6)
    assert (sent["retransmits"], sent["sender"]) == (3, True)
    assert (received["bytes"], received["sender"]) == (200_000_000, True)
    cpu = run["end"]["cpu_utilization_percent"]
    assert cpu == pytest.approx({"host_total": 1.1, "remote_total": 1.25})
    (one,) = run["end"]["streams"]
    assert (one["sender"]["mean_rtt"], one["sender"]["min_rtt"]) == (210, 45)
    assert run["start"]["test_start"]["reverse"] == 0


def test_a_receiving_test_has_no_retransmits_of_its_own() -> None:
    run = run_document(probe_result(SMALL.test(0, Direction.RECEIVE), 800.0))
    assert "retransmits" not in run["intervals"][0]["sum"]
    assert run["intervals"][0]["sum"]["sender"] is False
    assert run["end"]["sum_sent"]["sender"] is False
    assert run["start"]["test_start"]["reverse"] == 1


def test_both_directions_have_sums_of_their_own() -> None:
    test = SMALL.test(0, Direction.BIDIR)
    run = run_document(probe_result(test, 400.0))
    assert set(run["intervals"][0]) == {"sum", "sum_bidir_reverse"}
    end = run["end"]
    assert (end["sum_sent"]["sender"], end["sum_sent_bidir_reverse"]["sender"]) == (True, False)
    assert end["sum_received"]["bits_per_second"] == end["sum_received_bidir_reverse"]["bits_per_second"] == 400e6


def test_datagrams_have_jitter_and_loss() -> None:
    plan = PLANS["udp"]
    run = run_document(probe_result(plan.test(0, Direction.SEND), 10.0))
    received = run["end"]["sum_received"]
    assert (received["jitter_ms"], received["lost_packets"], received["packets"]) == (0.018, 17, 850)
    assert received["lost_percent"] == 2.0
    assert run["end"]["streams"][0]["udp"]["out_of_order"] == 2
    assert "retransmits" not in run["end"]["sum_sent"]


def test_unknown_values_are_left_out() -> None:
    result = probe_result(SMALL.test(0, Direction.SEND), 10.0, remote_cpu_ns=UNKNOWN, local_granted=Granted())
    run = run_document(result)
    assert set(run["end"]["cpu_utilization_percent"]) == {"host_total"}
    assert "sndbuf_actual" not in run["start"]
    assert "blksize" not in run["start"]["test_start"]  # chosen by the transport
    known = run_document(probe_result(dataclasses.replace(SMALL, block_bytes=1400).test(0, Direction.SEND), 10.0))
    assert known["start"]["test_start"]["blksize"] == 1400


# On disk


def test_a_finished_record_is_shown_again(tmp_path: Path) -> None:
    header, result = iperf_header(SMALL), judge_iperf(SMALL, iperf_results(SMALL), others=OTHERS)
    with RecordWriter(tmp_path / "run", unfinished(header)) as writer:
        for one in result.measured:
            writer.append([Kept(one)])
        writer.rewrite(finished(header, result, finished_at=END))
        assert writer.problems == ()
    again = read_judged(tmp_path / "run", judges())
    assert (again.header, again.result, again.cut) == (header, result, "")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [INTERVALS, RUN]


@pytest.mark.parametrize("torn", [b"", b"\x8d\xa4test"])
def test_an_unfinished_iperf_run_is_judged_by_its_recorded_tests(tmp_path: Path, torn: bytes) -> None:
    measured = iperf_results(SMALL)[:3]
    with RecordWriter(tmp_path / "run", unfinished(iperf_header(SMALL))) as writer:
        writer.append(Kept(one) for one in measured)
    with (tmp_path / "run" / INTERVALS).open("ab") as file:
        file.write(torn)
    found = read_judged(tmp_path / "run", judges())
    result, how = found.result, found.cut
    assert found.header == iperf_header(SMALL)
    assert result.measured == tuple(measured)
    assert result.verdict is Verdict.INTERRUPTED
    assert how.startswith("the run was cut off before it wrote its result")
    assert ("the last 6 bytes are an incomplete interval" in how) is bool(torn)


def test_an_unfinished_forward_run_is_judged_by_its_recorded_tests(tmp_path: Path) -> None:
    measured = forward_passages()[:5]
    with RecordWriter(tmp_path / "run", unfinished(forward_header())) as writer:
        writer.append(Kept(one) for one in measured)
    found = read_judged(tmp_path / "run", judges())
    result, how = found.result, found.cut
    assert result.measured == tuple(measured)
    assert [row.repeats for row in result.rows] == [2, 2, 1]
    assert how == "the run was cut off before it wrote its result"


def test_a_run_that_was_killed_before_its_first_test_can_be_shown(tmp_path: Path) -> None:
    for kind, document in (("i", unfinished(iperf_header())), ("f", unfinished(forward_header()))):
        RecordWriter(tmp_path / kind, document).close()
        done = CliRunner().invoke(app, ["show", str(tmp_path / kind)], standalone_mode=False)
        assert done.exception is None
        assert "Nothing was measured." in done.output
        assert "CUT" in done.output


@pytest.mark.parametrize("kind", ["iperf", "forward"])
def test_show_prints_the_report_or_the_document(tmp_path: Path, kind: str) -> None:
    document = iperf_document() if kind == "iperf" else forward_document()
    RecordWriter(tmp_path / "run", document).close()
    shown = CliRunner().invoke(app, ["show", str(tmp_path / "run")], standalone_mode=False).output
    assert "Verdict: VALID (exit code 0)" in shown
    printed = CliRunner().invoke(app, ["show", "--json", str(tmp_path / "run")], standalone_mode=False).output
    assert json.loads(printed) == document


def test_a_network_record_is_not_a_record_of_spec(tmp_path: Path) -> None:
    RecordWriter(tmp_path / "run", iperf_document()).close()
    with pytest.raises(RecordError, match="is a record of loadgen iperf, not of loadgen spec"):
        load(tmp_path / "run", KIND_SPEC)


def test_the_directory_name_shows_the_kind_of_run(tmp_path: Path) -> None:
    at = datetime.datetime(2026, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)
    assert claim_directory(at, tmp_path, kind="iperf").name == "2026-02-03T04-05-06-iperf"


def _paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        if key != "runs":  # these fields are for other programs
            yield (*at, key)
            yield from _paths(item, (*at, key))


DOCUMENTS = {"iperf": iperf_document(), "forward": forward_document()}
PATHS = [(kind, path) for kind, document in DOCUMENTS.items() for path in _paths(document)]


@given(
    place=st.sampled_from(PATHS),
    put=st.one_of(st.none(), st.integers(), st.text(max_size=3), st.just([]), st.just({}), st.floats(allow_nan=False)),
)
@settings(max_examples=60, deadline=None)
def test_a_damaged_document_raises_only_record_errors(
    tmp_path_factory: pytest.TempPathFactory, place: tuple[str, tuple[Any, ...]], put: object
) -> None:
    kind, path = place
    document = json.loads(json.dumps(DOCUMENTS[kind]))
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = put
    file = tmp_path_factory.mktemp("damaged") / RUN
    file.write_text(json.dumps(document))
    with contextlib.suppress(RecordError):
        if load(file).header.kind == kind:
            read_judged(file, judges())
