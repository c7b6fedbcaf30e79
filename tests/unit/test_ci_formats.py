"""The formats for CI systems: JUnit XML as junitparser reads it, and Markdown as GitHub shows it."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from junitparser import Error, Failure, JUnitXml, TestCase, TestSuite

from coordinator.kinds.catalog import judges
from coordinator.output.catalog import write
from coordinator.output.html.report import report_text
from coordinator.output.judged import Judged, read_judged
from coordinator.output.stated import Stated, say_counts, stated
from loadgen.verdict.result import Check
from tests.support import https
from tests.support.judged import judged as finished_run
from tests.support.recorded import RECORDS


def recorded(case: str, directory: Path) -> Judged[Any, Any]:
    RECORDS[case](directory / "run")
    return read_judged(directory / "run", judges())


def written(judged: Judged[Any, Any], name: str) -> str:
    stream = io.StringIO()
    write(judged, name, stream)
    return stream.getvalue()


def cases(judged: Judged[Any, Any]) -> dict[str, TestCase]:
    (suite,) = JUnitXml.fromstring(written(judged, "junit").encode())
    assert isinstance(suite, TestSuite)
    found = list(suite)
    counted = [sum(isinstance(one, kind) for case in found for one in case.result) for kind in (Failure, Error)]
    assert (suite.tests, suite.failures, suite.errors) == (len(found), *counted)
    return {f"{case.classname}: {case.name}": case for case in found}


@pytest.mark.parametrize("case", RECORDS)
def test_a_junit_reader_reads_every_kind_of_run(case: str, tmp_path: Path) -> None:
    found = cases(recorded(case, tmp_path))
    (verdict,) = [test for name, test in found.items() if name.endswith(": verdict")]
    assert verdict.is_passed is case.endswith("good")
    assert all(test.is_passed for test in found.values()) is case.endswith("good")


def test_each_check_is_a_test_case_with_its_figures(tmp_path: Path) -> None:
    found = cases(recorded("spec good", tmp_path))
    assert "320 of 320" in found["loadgen.spec.iteration 2: conforming connections"].system_out
    assert found["loadgen.spec.trust: send lateness"].system_out == "0.75 ms (limit: <= 100 ms): p99 of engine 1"
    assert found["loadgen.spec: verdict"].is_passed
    many = cases(recorded("spec-sweep good", tmp_path / "sweep"))
    assert "loadgen.spec-sweep.1 VMs, iteration 1: errors" in many
    assert "loadgen.spec-sweep.1 VMs, trust: send lateness" in many


def test_a_run_whose_generator_failed_is_an_error_and_says_nothing_of_the_servers(tmp_path: Path) -> None:
    found = cases(recorded("spec INVALID", tmp_path))
    (broken,) = found["loadgen.spec: verdict"].result
    assert isinstance(broken, Error)
    assert broken.type == "INVALID"
    assert all("trust" in name or name.endswith(": verdict") for name in found)
    assert any(isinstance(one, Error) for name, test in found.items() if "trust" in name for one in test.result)


def with_reason(judged: Judged[Any, Any], reason: str) -> Judged[Any, Any]:
    return replace(judged, result=replace(judged.result, reasons=(reason,)))


def test_characters_that_xml_has_not_are_replaced(tmp_path: Path) -> None:
    strange = "a\x00b\x1b[31m\ufffe\ud800 <&> \N{SNOWMAN}"
    text = written(with_reason(recorded("spec good", tmp_path), strange), "junit")
    assert text.isascii()
    (suite,) = JUnitXml.fromstring(text.encode())
    assert next(iter(suite)).system_out == "a\ufffdb\ufffd[31m\ufffd\ufffd <&> \N{SNOWMAN}"


@pytest.mark.parametrize("case", RECORDS)
def test_markdown_has_the_verdict_the_reasons_and_the_report(case: str, tmp_path: Path) -> None:
    judged = recorded(case, tmp_path)
    text = written(judged, "markdown")
    cut = ", cut off" if case.endswith("cut") else ""
    said = re.findall(r"^Verdict: (.+) \(exit code", written(judged, "text"), re.MULTILINE) or ["no verdict"]
    heading = text.splitlines()[0]
    assert re.sub(r"\\(.)", r"\1", heading) == f"## loadgen {judged.header.kind}: {said[0]}{cut}"
    assert said != ["no verdict"] or cut
    assert ("Exit code" in text.split("<details>")[0]) == (said != ["no verdict"])
    reasons = re.findall(r"^- (.*)$", text, re.MULTILINE)[: len(judged.result.reasons)]
    assert [re.sub(r"\\(.)", r"\1", one) for one in reasons] == [" ".join(r.split()) for r in judged.result.reasons]
    assert text.count("\n```text\n") == text.count("\n```\n") == 1
    assert "Record:" in text.split("```text")[1]


@pytest.mark.parametrize("case", ["http good", "iperf good", "spec-compare good", "relative good", "paper good"])
def test_markdown_calls_a_run_valid_that_had_nothing_to_conform_to(case: str, tmp_path: Path) -> None:
    assert written(recorded(case, tmp_path), "markdown").splitlines()[0].endswith(": VALID")


def test_markdown_names_the_checks_that_failed(tmp_path: Path) -> None:
    text = written(recorded("spec INVALID", tmp_path), "markdown")
    assert re.search(r"^\d+ of \d+ checks hold, \d+ failed.*:$", text, re.MULTILINE)
    assert re.search(r"^\| trust \| ", text, re.MULTILINE)
    assert "checks hold" in written(recorded("spec good", tmp_path / "good"), "markdown")


def test_reasons_are_no_markup(tmp_path: Path) -> None:
    text = written(with_reason(recorded("spec good", tmp_path), "<b>*x*</b> | `y`\n# @z ```"), "markdown")
    assert "- \\<b\\>\\*x\\*\\</b\\> \\| \\`y\\` \\# \\@z \\`\\`\\`\n" in text
    assert text.count("\n````text\n") == 1  # the report has three backticks, too


def test_the_checks_that_do_not_hold_are_told_apart() -> None:
    good, bad = (Check(name=name, value=1, limit=1, ok=ok) for name, ok in (("a", True), ("b", False)))
    unknown = [Check.unknown(name, 1, detail="no quota") for name in ("CPU quota", "canary", "canary", "x", "y")]
    missed = Check(name="p99", value=float("nan"), limit=1, ok=False)

    def said(*checks: Check) -> str:
        return say_counts([Stated("trust", one) for one in checks])

    assert said(good, good) == "2 of 2 checks hold"
    assert said(good, bad, missed) == "1 of 3 checks hold, 2 failed"
    assert said(good, unknown[0]) == "1 of 2 checks hold, 1 is not known (CPU quota)"
    assert said(good, bad, *unknown) == (
        "1 of 7 checks hold, 1 failed, 5 are not known (CPU quota, canary, x and 1 more)"
    )


def test_the_page_does_not_call_a_check_good_that_is_not_known() -> None:
    run = finished_run(https.header(), https.result())
    unknown = {"name": "CPU quota", "value": None, "limit": 5.0, "ok": True, "unit": "%", "detail": "none"}
    document = {**run.document, "trust": {"checks": [*run.document["trust"]["checks"], unknown]}}
    page = report_text([replace(run, document=document)])
    text = " ".join(re.sub(r"<[^>]*>", " ", page).split())
    assert re.search(r"be trusted\? Yes: \d+ of \d+ checks hold, 1 is not known \(CPU quota\)\.", text)
    assert "not known trust CPU quota" in text


def test_a_value_that_is_not_known_is_said_so() -> None:
    assert Stated("trust", Check(name="a", value=float("nan"), limit=1, ok=True, detail="no quota")).words == (
        "not known: no quota"
    )


def test_objectives_are_checks_of_the_servers(tmp_path: Path) -> None:
    judged = recorded("http good", tmp_path)
    groups = {one.group for one in stated(judged)}
    assert groups == ({"trust", "objectives"} if judged.document["slos"] else {"trust"})
