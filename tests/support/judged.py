"""Runs with their results, in the form that output formats take."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from coordinator.output.judged import Judged
from coordinator.record.document import finished
from coordinator.record.header import Header, Plan, Result

P = TypeVar("P", bound=Plan)
R = TypeVar("R", bound=Result)

END = "2026-02-03T04:06:30+00:00"
RECORD = Path("runs/2026-02-03T04-05-06-spec")


def judged(header: Header[P], result: R, *, path: Path = RECORD, cut: str = "") -> Judged[P, R]:
    """Return a finished run; with the sentence `cut`, a run that was cut."""
    document: dict[str, Any] = finished(header, result, finished_at=END)
    return Judged(path=path, document=document, header=header, result=result, cut=cut)
