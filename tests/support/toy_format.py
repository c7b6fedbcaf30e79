"""A minimal output format: the verdict in one line, for a chat or a status page."""

from __future__ import annotations

from typing import Any, TextIO

from coordinator.output.judged import Judged


def write_line(judged: Judged[Any, Any], stream: TextIO) -> None:
    """Write the kind, the verdict and the first reason; a run that was cut says so."""
    reason = next(iter(judged.result.reasons), "")
    parts = [judged.header.kind, judged.result.verdict.value, *([reason] if reason else [])]
    stream.write(": ".join(parts) + (" (cut)" if judged.cut else "") + "\n")
