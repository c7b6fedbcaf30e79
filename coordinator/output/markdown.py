"""A run as GitHub-flavoured Markdown: the verdict, its reasons, the checks, and the whole report folded away."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any, TextIO

from coordinator.output.judged import Judged
from coordinator.output.one_machine import say_shared
from coordinator.output.stated import Stated, say_counts, stated
from coordinator.output.streams import escaped
from coordinator.output.text import write_text

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~&$@-])")
"""Characters that Markdown may read as markup; an @ would call a user."""

_VERDICT = re.compile(r"^Verdict: (.+) \(exit code \d+\)", re.MULTILINE)

_NO_VERDICT = "no verdict"


def write_markdown(judged: Judged[Any, Any], stream: TextIO) -> None:
    """Write a summary for the page of a CI job or a pull request."""
    result, text, lines = judged.result, _text(judged), []
    verdict = _verdict(judged, text)
    lines.append(f"## loadgen {judged.header.kind}: {verdict}{', cut off' * bool(judged.cut)}")
    code = "" if verdict == _NO_VERDICT else f"Exit code {int(result.exit_code)}. "
    lines += ["", f"{code}Started {judged.header.started_at}.", ""]
    if judged.cut:
        lines += [f"**Cut:** {_plain(judged.cut)}.", ""]
    lines += [f"- {_plain(reason)}" for reason in result.reasons]
    if shared := say_shared(judged.header):
        lines += ["", _plain(shared)]
    lines += ["", *_table(stated(judged)), *_report(text)]
    stream.write(escaped("\n".join(lines) + "\n", stream))


def _table(checks: Sequence[Stated]) -> list[str]:
    """The failed checks; how many there are in all, since a run has dozens that hold."""
    own = [one for one in checks if one.decides]
    if not own:
        return []
    failed = [one for one in own if not one.check.ok]
    head = _plain(say_counts(own)) + (":" if failed else ".")
    found = [head, ""]
    if failed:
        rows = [f"| {_plain(one.group)} | {_plain(one.check.name)} | {_plain(one.words)} |" for one in failed]
        found += ["| failed in | check | measured, limit |", "| --- | --- | --- |", *rows, ""]
    if more := [one for one in checks if not one.decides]:
        held = sum(one.check.ok for one in more)
        found += [f"In single stages, which have no part in the verdict, {held} of {len(more)} objectives hold.", ""]
    return found


def _verdict(judged: Judged[Any, Any], text: str) -> str:
    """The verdict in the words of the report: a run that had nothing to conform to is VALID."""
    said = _VERDICT.search(text)
    if said:
        return _plain(said[1])
    return _NO_VERDICT if judged.cut else str(judged.result.verdict.value)


def _text(judged: Judged[Any, Any]) -> str:
    report = io.StringIO()
    write_text(judged, report)
    return "\n".join(line.rstrip() for line in report.getvalue().rstrip().splitlines())


def _report(text: str) -> list[str]:
    # A fence is longer than any run of backticks inside.
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return ["<details><summary>The whole report</summary>", "", f"{fence}text", text, fence, "", "</details>"]


def _plain(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
