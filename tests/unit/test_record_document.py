from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

import coordinator.record
from coordinator.record.catalog import KINDS
from coordinator.record.document import finished, header_of, result_of, unfinished
from coordinator.record.header import Header
from loadgen.verdict.result import RunResult, Verdict
from tests.support import results
from tests.support.toy_kind import COUNT, CountPlan, CountResult

END = "2026-02-03T04:06:30+00:00"

RESULTS = {
    "conforming": results.run_result(),
    "not conforming": results.run_result(shorts=(0, 40, 60)),
    "one VM, one iteration": results.run_result(1, shorts=(0,)),
    "invalid": results.invalid_result(),
    "interrupted": results.interrupted_result(),
    "nothing measured": results.nothing_measured(),
}


def through_json(document: dict[str, Any]) -> dict[str, Any]:
    data = json.loads(json.dumps(document, allow_nan=False))
    assert isinstance(data, dict)
    return data


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json.loads((Path(coordinator.record.__file__).parent / "run.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def sweep(points: int, *, finished_at: str = "") -> dict[str, Any]:
    done, header = results.sweep(points), results.sweep_header()
    return finished(header, done, finished_at=finished_at) if finished_at else unfinished(header, done)


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_reads_back_from_its_document(name: str) -> None:
    document = through_json(finished(results.header(), RESULTS[name], finished_at=END))
    assert result_of(document) == RESULTS[name]
    assert header_of(document) == results.header()


@pytest.mark.parametrize("name", RESULTS)
def test_a_finished_document_fits_the_schema(validator: jsonschema.Draft202012Validator, name: str) -> None:
    validator.validate(through_json(finished(results.header(), RESULTS[name], finished_at=END)))


def test_the_other_documents_fit_the_schema_too(validator: jsonschema.Draft202012Validator) -> None:
    for document in (unfinished(results.header()), sweep(0), sweep(2), sweep(3, finished_at=END)):
        validator.validate(through_json(document))


@pytest.mark.parametrize("missing", ["verdict", "trust", "targets", "environment", "schema_version", "driven_targets"])
def test_the_schema_detects_missing_fields(validator: jsonschema.Draft202012Validator, missing: str) -> None:
    document = through_json(finished(results.header(), RESULTS["conforming"], finished_at=END))
    del document[missing]
    assert not validator.is_valid(document)


def test_the_schema_detects_undescribed_fields(validator: jsonschema.Draft202012Validator) -> None:
    document = through_json(finished(results.header(), RESULTS["conforming"], finished_at=END))
    document["targets"][0]["colour"] = "green"
    assert not validator.is_valid(document)


def test_documented_fields_are_present() -> None:
    document = finished(results.header(), RESULTS["not conforming"], finished_at=END)
    assert document["kind"] == "spec"
    assert (document["verdict"], document["exit_code"]) == ("not conforming", 1)
    assert (document["requested_connections"], document["conforming_connections"]) == (320, 280)
    assert [item["conforming"] for item in document["iterations"]] == [320, 280, 260]
    third = document["targets"][2]
    assert (third["name"], third["host"], third["port"], third["conforming"]) == ("vm3", "127.0.0.1", 20003, 0)
    assert (third["errors"], third["errors_by_outcome"]) == (3, {"CLOSED_EARLY": 2, "BAD_STATUS": 1})
    assert set(third["response_ms"]) == {"p50", "p90", "p99", "max"}
    assert document["trust"]["valid"] is True
    assert document["trust"]["checks"][0]["limit"] == 100


def test_the_document_of_an_invalid_run_has_no_number_that_looks_like_a_score() -> None:
    document = through_json(finished(results.header(), RESULTS["invalid"], finished_at=END))
    assert (document["conforming_connections"], document["fairness"]) == (None, None)

    def values(node: object, name: str) -> list[object]:
        parts = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        own = [node[name]] if isinstance(node, dict) and name in node else []
        return own + [value for part in parts for value in values(part, name)]

    for name in ("conforming", "conforms", "requests_conforming"):
        found = values(document, name)
        assert found
        assert set(found) == {None}
    assert [item["checks"] for item in document["iterations"]] == [[]] * 3
    assert "280" not in json.dumps(document)


def test_a_score_that_an_earlier_version_wrote_of_an_invalid_run_is_not_shown() -> None:
    old = finished(results.header(), results.run_result(shorts=(0, 40, 60)), finished_at=END)
    found = result_of(through_json({**old, "verdict": "INVALID", "exit_code": 3}))
    assert isinstance(found, RunResult)
    assert found.conforming_connections is None
    assert [one.conforming for one in found.iterations] == [None] * 3
    assert {one.conforming for one in found.targets} == {None}


def test_an_unfinished_document_says_so_and_claims_nothing() -> None:
    document = unfinished(results.header())
    assert document["verdict"] == "unfinished"
    assert document["exit_code"] is None
    assert document["conforming_connections"] is None
    assert document["trust"] == {"valid": None, "checks": []}
    assert len(document["driven_targets"]) == 16


def test_a_sweep_reads_back_and_has_the_verdict_of_its_worst_point() -> None:
    document = through_json(sweep(3, finished_at=END))
    assert result_of(document) == results.sweep()
    assert (document["verdict"], document["exit_code"]) == ("not conforming", 1)
    assert [point["conforming_connections"] for point in document["points"]] == [20, 80, 280]


def test_a_sweep_with_an_invalid_point_is_invalid() -> None:
    points = results.sweep().points
    spoiled = dataclasses.replace(
        results.sweep(), points=(*points, dataclasses.replace(points[0], result=results.invalid_result()))
    )
    assert spoiled.verdict is Verdict.INVALID


def test_non_finite_numbers_become_null_and_numpy_numbers_become_plain() -> None:
    whole = RESULTS["conforming"]
    odd = dataclasses.replace(whole.trust.checks[0], value=math.inf, limit=np.float64(2.5), ok=np.bool_(True))  # type: ignore[arg-type]
    result: RunResult = dataclasses.replace(
        whole,
        conforming_connections=np.int64(7),  # type: ignore[arg-type]
        trust=dataclasses.replace(whole.trust, checks=(odd,)),
    )
    document = through_json(finished(results.header(), result, finished_at=END))
    assert document["conforming_connections"] == 7
    assert document["trust"]["checks"][0]["value"] is None
    assert document["trust"]["checks"][0]["limit"] == 2.5
    assert document["trust"]["checks"][0]["ok"] is True
    assert math.isnan(result_of(document).trust.checks[0].value)


def test_a_new_kind_needs_one_entry_of_the_catalog(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coordinator.record.document.KINDS", {**KINDS, "count": COUNT})
    header = Header(
        kind="count",
        started_at="2026-02-03T04:05:06+00:00",
        plan=CountPlan(limit=9),
        environment=results.environment(),
    )
    begun = through_json(unfinished(header))
    assert (begun["kind"], begun["verdict"], begun["exit_code"], begun["counted"]) == (
        "count",
        "unfinished",
        None,
        None,
    )
    assert header_of(begun) == header
    ended = through_json(finished(header, CountResult(7, ("all of them",)), finished_at=END))
    assert (ended["verdict"], ended["exit_code"], ended["reasons"]) == ("conforming", 0, ["all of them"])
    assert result_of(ended) == CountResult(7, ("all of them",))
