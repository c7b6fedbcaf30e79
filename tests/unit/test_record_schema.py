from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import jsonschema
import pytest

from coordinator.record.catalog import KINDS
from coordinator.record.document import finished, unfinished
from coordinator.record.find_result import Wanted
from coordinator.record.kinds import KIND_SPEC
from coordinator.record.schema.generate import FILE, schema_text, why_damaged
from loadgen.verdict.isolate import judge_isolate
from loadgen.verdict.network import judge_forward, judge_iperf
from loadgen.verdict.pack import judge_pack
from tests.support import finds, headrooms, https, isolations, packs, papers, relatives, repeats, results
from tests.support.judged import END
from tests.support.networks import FORWARD, IPERF, forward_header, forward_passages, iperf_header, iperf_results

NOBODY = (0.0, "")
DOCUMENTS: dict[str, dict[str, Any]] = {
    "spec": finished(results.header(), results.run_result(shorts=(0, 40, 60)), finished_at=END),
    "spec-sweep": finished(results.sweep_header(), results.sweep(), finished_at=END),
    "spec-find": finished(finds.header(), finds.find(), finished_at=END),
    "http-find": finished(finds.header(Wanted.RATE), finds.find(wanted=Wanted.RATE), finished_at=END),
    "spec-headroom": finished(headrooms.header(KIND_SPEC), headrooms.NEAR, finished_at=END),
    "http-headroom": finished(headrooms.header(), headrooms.FAR, finished_at=END),
    "http": finished(https.header(), https.result(), finished_at=END),
    "iperf": finished(iperf_header(), judge_iperf(IPERF, iperf_results(), others=NOBODY), finished_at=END),
    "forward": finished(forward_header(), judge_forward(FORWARD, forward_passages(), others=NOBODY), finished_at=END),
    "isolate": finished(isolations.header(), judge_isolate(isolations.PLAN, isolations.isolated()), finished_at=END),
    "pack": finished(packs.header(), judge_pack(packs.PLAN, packs.packed()), finished_at=END),
    "paper": finished(papers.header(), papers.result(), finished_at=END),
    "spec-repeats": finished(repeats.spec_header(), repeats.repeats(repeats.STEADY), finished_at=END),
    "http-repeats": finished(repeats.http_header(), repeats.repeats(range(1, 9), invalid=1), finished_at=END),
    "spec-compare": finished(repeats.spec_compare_header(), repeats.interleaved(spec=True), finished_at=END),
    "http-compare": finished(repeats.http_compare_header(), repeats.interleaved(), finished_at=END),
    "relative": finished(relatives.header(), relatives.result(), finished_at=END),
    "relative-round": finished(relatives.round_header(), relatives.round_result(), finished_at=END),
}
BEGUN: dict[str, dict[str, Any]] = {
    "spec": unfinished(results.header()),
    "spec-sweep": unfinished(results.sweep_header(), results.sweep(1)),
    "spec-find": unfinished(finds.header(), finds.find(runs=0)),
    "http-find": unfinished(finds.header(Wanted.RATE), finds.find(wanted=Wanted.RATE, runs=2)),
    "spec-headroom": unfinished(headrooms.header(KIND_SPEC)),
    "http-headroom": unfinished(headrooms.header(), headrooms.BEGUN),
    "http": unfinished(https.header()),
    "iperf": unfinished(iperf_header()),
    "forward": unfinished(forward_header()),
    "isolate": unfinished(isolations.header()),
    "pack": unfinished(packs.header()),
    "paper": unfinished(papers.header(), papers.result({})),
    "spec-repeats": unfinished(repeats.spec_header(), repeats.repeats(())),
    "http-repeats": unfinished(repeats.http_header(), repeats.repeats(repeats.STEADY[:3], asked=8)),
    "spec-compare": unfinished(repeats.spec_compare_header(), repeats.interleaved(spec=True, played=0)),
    "http-compare": unfinished(repeats.http_compare_header(), repeats.interleaved(played=5)),
    "relative": unfinished(relatives.header(), relatives.result(1)),
    "relative-round": unfinished(relatives.round_header()),
}


def test_the_schema_file_matches_the_types() -> None:
    assert json.loads(FILE.read_text("utf-8")) == json.loads(schema_text()), "run: make schema"


def test_every_kind_of_record_is_described() -> None:
    schema = json.loads(FILE.read_text("utf-8"))
    assert set(schema["discriminator"]["mapping"]) - {"error"} == set(KINDS) == set(DOCUMENTS) == set(BEGUN)


@pytest.mark.parametrize("kind", KINDS)
def test_documents_fit_the_schema_and_the_types(kind: str) -> None:
    schema = json.loads(FILE.read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    for document in (DOCUMENTS[kind], BEGUN[kind]):
        jsonschema.Draft202012Validator(schema).validate(document)
        assert why_damaged(document) == ""


@pytest.mark.parametrize("kind", KINDS)
def test_the_schema_detects_missing_and_undescribed_fields(kind: str) -> None:
    schema = json.loads(FILE.read_text("utf-8"))
    validator = jsonschema.Draft202012Validator(schema)
    for name in BEGUN[kind]:
        assert not validator.is_valid({key: value for key, value in BEGUN[kind].items() if key != name})
    assert not validator.is_valid({**BEGUN[kind], "colour": "green"})
    assert not validator.is_valid({**BEGUN[kind], "plan": {**BEGUN[kind]["plan"], "colour": "green"}})


def test_damage_is_reported_with_its_place() -> None:
    broken = json.loads(json.dumps(DOCUMENTS["spec"]))
    broken["iterations"][1]["targets"][0]["port"] = "http"
    assert why_damaged(broken) == "Expected `int`, got `str` - at `$.iterations[1].targets[0].port`"


def test_reading_and_writing_records_does_not_import_the_types() -> None:
    program = "import sys, coordinator.record.reader; assert 'msgspec' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
