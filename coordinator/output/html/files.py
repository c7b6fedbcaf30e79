"""Reports written to files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from coordinator.output.html.report import report_text
from coordinator.output.judged import Judged
from coordinator.output.streams import OutputError
from loadgen.verdict.compare_result import Comparison


def write_report(file: Path, runs: Sequence[Judged[Any, Any]], comparison: Comparison | None = None) -> None:
    """Write the report on these runs to `file`, which is whole or as it was before.

    Raises OutputError when the file cannot be written, RecordError when a record cannot be read.
    """
    # A name in a record need not be valid UTF-8, a page must be.
    content = report_text(runs, comparison).encode("utf-8", "replace")
    try:
        regular = not file.exists() or file.is_file()
        aside = file.with_name(f".{file.name}.{os.getpid()}") if regular else file
        try:
            aside.write_bytes(content)
            if regular:
                aside.replace(file)
        finally:
            if regular:
                aside.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"the report {file} cannot be written: {error.strerror}") from error
