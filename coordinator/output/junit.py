"""A run as JUnit XML: its verdict and each of its checks is a test case, for the test reports of CI systems."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, TextIO
from xml.etree import ElementTree

from coordinator.output.judged import Judged
from coordinator.output.stated import TRUST, Stated, stated
from loadgen.verdict.result import Verdict

_PASSED = (Verdict.CONFORMING,)
_FAILED = (Verdict.NOT_CONFORMING,)
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 does not allow, not even as references."""


def write_junit(judged: Judged[Any, Any], stream: TextIO) -> None:
    """Write one test suite.

    A check that failed is a failure when it is about the servers, and an error when it is about the load generator.
    The verdict is a failure when the servers did not conform, and an error when the run says nothing about them
    or was cut off.
    """
    kind, checks = judged.header.kind, stated(judged)
    suite = ElementTree.Element("testsuite", name=_xml(f"loadgen {kind}"), timestamp=judged.header.started_at)
    suite.set("time", f"{_seconds(judged):.3f}")
    verdict = _case(suite, f"loadgen.{kind}", "verdict")
    result = judged.result
    if judged.cut:
        _broken(verdict, "error", "cut", [judged.cut])
    elif result.verdict not in _PASSED:
        _broken(verdict, "failure" if result.verdict in _FAILED else "error", result.verdict.value, result.reasons)
    _said(verdict, result.reasons)
    for one in checks:
        _add(suite, kind, one)
    for tag, attribute in (("testcase", "tests"), ("failure", "failures"), ("error", "errors")):
        suite.set(attribute, str(len(list(suite.iter(tag)))))
    suite.set("skipped", "0")
    ElementTree.indent(suite)
    # Only ASCII, with references, so that every stream can take it.
    stream.write('<?xml version="1.0" encoding="UTF-8"?>\n')
    stream.write(ElementTree.tostring(suite, encoding="us-ascii", xml_declaration=False).decode("ascii") + "\n")


def _add(suite: ElementTree.Element, kind: str, one: Stated) -> None:
    case = _case(suite, f"loadgen.{kind}.{one.group}", one.check.name)
    if not one.check.ok and one.decides:
        _broken(case, "error" if one.group.endswith(TRUST) else "failure", "limit", [one.words])
    no_part = "" if one.check.ok or one.decides else "does not hold, which has no part in the verdict: "
    _said(case, [f"{no_part}{one.words}"])


def _case(suite: ElementTree.Element, classname: str, name: str) -> ElementTree.Element:
    return ElementTree.SubElement(suite, "testcase", classname=_xml(classname), name=_xml(name))


def _broken(case: ElementTree.Element, tag: str, kind: str, reasons: Any) -> None:
    reasons = [_xml(reason) for reason in reasons]
    found = ElementTree.SubElement(case, tag, type=kind, message=reasons[0] if reasons else kind)
    found.text = "\n".join(reasons)


def _said(case: ElementTree.Element, lines: Any) -> None:
    ElementTree.SubElement(case, "system-out").text = _xml("\n".join(lines))


def _xml(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)


def _seconds(judged: Judged[Any, Any]) -> float:
    ended = judged.document.get("finished_at")
    if not ended:
        return 0.0
    begun = datetime.fromisoformat(judged.header.started_at)
    return max(0.0, (datetime.fromisoformat(ended) - begun).total_seconds())
